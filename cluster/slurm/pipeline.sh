# Sourced by the batch scripts: a whole pipeline on the job's allocation, a worker for each of its tasks. The coordinator sits beside the
# first one and takes little. Everything of it lies in a folder that all the job's nodes see.
palisade=${PALISADE:-palisade}

# Runs a command until there is a file (a step can be ended from outside only by force).
# shellcheck disable=SC2016
until_stop='"$@" & own=$!
until [ -e "$0" ]; do kill -0 "$own" 2> /dev/null || exit 1; sleep 0.2; done
kill "$own"
wait "$own"'

start_pipeline() { # MODEL FOLDER; sets endpoint and key
  local model=$1 folder=$2 head address
  local vision=${PALISADE_VISION:-1} workers=${SLURM_NTASKS:?run this with sbatch}
  [ "$workers" -gt "$vision" ] || { echo "palisade: --ntasks=$workers leaves no shard beside $vision vision workers" >&2; exit 64; }
  (umask 077 && mkdir -p "$folder")
  rm -rf "${folder:?}"/{keys,endpoint,stop} # of a run that was requeued
  "$palisade" keys init "$folder/keys" > /dev/null
  head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  # An address, because ZeroMQ binds no names: what Slurm itself calls the node by.
  address=$(scontrol show node "$head" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
  address=$(getent ahostsv4 "$address" | awk '{ print $1; exit }')
  srun --overlap --ntasks=1 --nodes=1 --nodelist="$head" --job-name=coordinator --output="$folder/coordinator.log" \
    bash -c "$until_stop" "$folder/stop" "$palisade" serve --model "$model" --workers "$vision+$((workers - vision))" ${PALISADE_PRECISION:+--precision "$PALISADE_PRECISION"} \
    --endpoint "tcp://$address:*" --endpoint-file "$folder/endpoint" --keys "$folder/keys" &
  coordinator=$!
  until [ -s "$folder/endpoint" ]; do
    kill -0 "$coordinator" 2> /dev/null || { tail -n 5 "$folder/coordinator.log" >&2; exit 1; }
    sleep 0.2
  done
  endpoint=$(cat "$folder/endpoint") key=$folder/keys/client.key
  # One that ends takes no other with it: the plan is made anew over those left.
  srun --overlap --ntasks="$workers" --kill-on-bad-exit=0 --job-name=workers --output="$folder/worker-%t.log" bash -c \
    'exec "$0" worker --coordinator "$1" --key "$2" --name "worker-$SLURM_PROCID" --threads "${SLURM_CPUS_PER_TASK:-1}"' \
    "$palisade" "$endpoint" "$folder/keys/worker.key" &
  "$palisade" status --coordinator "$endpoint" --key "$key" --wait 600 > /dev/null || { tail -n 5 "$folder"/*.log >&2; exit 1; }
}

stop_pipeline() { # FOLDER
  # The coordinator ends and tells the workers to.
  touch "$1/stop"
  wait || true
  rm -rf "${1:?}/keys"
}

run_batch() { # IN OUT; an exit code of 2 means that all were answered, some by an error of their own
  local status=0
  "$palisade" batch "$1" --output "$2" --ordered --coordinator "$endpoint" --key "$key" || status=$?
  [ "$status" -eq 2 ] && return 0
  return "$status"
}
