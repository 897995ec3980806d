# For tests of what pages show: stand-ins for installers of what is installed, for nox and for clusters' schedulers; other
# tools come from uvx.

python() {
  if [ "$1 $2 $3" != "-m pip install" ]; then command python "$@"; return; fi
  case "$4" in git+* | nox*) ;; *) test -e "$4" ;; esac
}
python3() { python "$@"; }
function .envsolver/venv/bin/python { python "$@"; }
function .envsolver/venv/bin/envsolver { envsolver "$@"; }
nox() {
  shift; session=$1; shift; if [ "$1" = -- ]; then shift; fi
  case "$session" in
    booktests) envsolver run "$@" ;;
    booktests-*) envsolver run --python "${session#booktests-}" "$@" ;;
    *) grep -q "^def $session(" "$ROOT/noxfile.py" ;;
  esac
}
envsolver() {
  if [ "$2" = --watch ]; then timeout -s INT 15 envsolver "$@"; test $? -eq 124; else command envsolver "$@"; fi
}
pytest() {
  case "$1" in
    --nbmake) uvx -q --with nbmake --with pytest-xdist --with ipykernel pytest "$@" ;;
    *) command pytest "$@" ;;
  esac
}
papermill() { uvx -q --with ipykernel papermill "$@"; }
uvx() {
  case "$*" in
    *parsl-visualize*)
      command uvx "$@" & server=$!
      python - <<'END'
import time, urllib.request
for _ in range(120):
    try:
        assert urllib.request.urlopen("http://127.0.0.1:8080", timeout=10).status == 200
        break
    except OSError:
        time.sleep(0.5)
else:
    raise SystemExit("nobody answers")
END
      code=$?; kill $server; return $code ;;
    *) command uvx "$@" ;;
  esac
}
sbatch() {
  if [ "$1" = --parsable ]; then
    range=$(sed -n 's/^#SBATCH --array=//p' "$2")
    for number in $(seq "${range%-*}" "${range#*-}"); do
      SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$number \
        SLURM_ARRAY_TASK_MIN=${range%-*} SLURM_ARRAY_TASK_MAX=${range#*-} \
        SLURM_ARRAY_TASK_COUNT=$((${range#*-} - ${range%-*} + 1)) SLURM_ARRAY_TASK_STEP=1 bash "$2" >&2 || return
    done
    echo 7
  else
    bash -c "$3"
  fi
}
qsub() {
  if [ "$1" = -W ]; then shift 3; "$@"; return; fi
  range=$(sed -n 's/^#PBS -J //p' "$1")
  for number in $(seq "${range%-*}" "${range#*-}"); do
    PBS_O_WORKDIR=$PWD PBS_ARRAY_ID='8[].server' PBS_ARRAY_INDEX=$number bash "$1" >&2 || return
  done
  echo '8[].server'
}
