# Runs on a host, read by `sh -s VERB FOLDER …` over ssh. Everything of a process lies in FOLDER: NAME.pid holds its id and its start
# time, so that an id that was given to somebody else is not taken for it; NAME.log what it says; keys/ what it shows.
set -eu
umask 077
verb=$1 folder=$2
shift 2
mkdir -p "$folder"
cd "$folder"

started() { cut -d ' ' -f 22 "/proc/$1/stat" 2> /dev/null; }
alive() { # name
  [ -s "$1.pid" ] || return 1
  read -r pid since < "$1.pid"
  [ "$(started "$pid")" = "$since" ] && [ "$(cut -d ' ' -f 3 "/proc/$pid/stat" 2> /dev/null)" != Z ]
}
end() { # signal
  for file in *.pid; do
    name=${file%.pid}
    if [ "$name" != '*' ] && alive "$name"; then kill "-$1" "$pid" 2> /dev/null || true; fi
  done
}
any() {
  for file in *.pid; do if [ "$file" != '*.pid' ] && alive "${file%.pid}"; then return 0; fi; done
  return 1
}

case $verb in
  start) # name, then the command
    name=$1
    shift
    if alive "$name"; then echo "$name runs already" >&2; exit 3; fi
    command -v "$1" > /dev/null || { echo "$1 is not on this host; say where with palisade=PATH in the host file" >&2; exit 4; }
    # A session of its own: it outlives ssh, and its signals are its own.
    setsid "$@" > /dev/null 2> "$name.log" < /dev/null &
    pid=$!
    echo "$pid $(started "$pid")" > "$name.pid"
    ;;
  list)
    for file in *.pid; do
      name=${file%.pid}
      if [ "$name" = '*' ]; then continue; elif alive "$name"; then echo "$name running $pid"; else echo "$name ended"; fi
    done
    ;;
  stop)
    end TERM
    for _ in $(seq 100); do any || break; sleep 0.1; done
    end KILL
    rm -rf -- *.pid keys
    ;;
  forget) rm -f -- "$1.pid" ;;
  logs) for file in *.log; do if [ -f "$file" ]; then echo "$file"; fi; done ;;
  log) tail -c 10000000 -- "$1" ;;
  *) echo "remote.sh: unknown verb '$verb'" >&2; exit 64 ;;
esac
