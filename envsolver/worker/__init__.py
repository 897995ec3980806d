"""The far side: a job in one kernel gives a result. Imported where jobs run, so it stays light."""
