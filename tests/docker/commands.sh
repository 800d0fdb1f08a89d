# commands.sh RUNTIME: what a person does with docker, for one runtime; the outputs of two are compared.
# Needs $D (a folder) and DOCKER_HOST.
R=$1 N=m$1
t() { echo "== $*"; }
docker() { command timeout -k 1 30 docker "$@"; }
run() { docker run --network none --runtime "$R" "$@"; }
t hello; run --rm box:1 echo hello world; echo rc=$?
t exit; run --rm box:1 sh -c 'exit 42'; echo rc=$?
t stdin; echo abc | run --rm -i box:1 cat; echo rc=$?
t notfound; run --rm box:1 nosuch 2>&1 | sed 's/^docker: //; s/runc create failed: //' | head -1; run --rm box:1 nosuch >/dev/null 2>&1; echo rc=$?
t noperm; run --rm box:1 /etc/passwd >/dev/null 2>&1; echo rc=$?
t user; run --rm -u 1000:1000 box:1 id -u; run --rm -u 1000 -w /tmp box:1 sh -c 'pwd; echo $HOME'
t env; run --rm -e A=b --hostname hh box:1 sh -c 'echo $A; hostname'
t caps; run --rm box:1 grep Cap /proc/self/status
t caps-user; run --rm -u 1000 --cap-drop ALL --cap-add NET_BIND_SERVICE box:1 grep Cap /proc/self/status
t seccomp; run --rm box:1 grep -E 'Seccomp:|NoNewPrivs' /proc/self/status
t ro; run --rm --read-only box:1 sh -c 'touch /x 2>&1; echo rc=$?; touch /dev/shm/y; echo rc=$?'
t vol; mkdir -p $D/vol; echo from-host > $D/vol/f; run --rm -v $D/vol:/v box:1 sh -c 'cat /v/f; echo back > /v/g'; cat $D/vol/g; rm -f $D/vol/g
t volro; run --rm -v $D/vol:/v:ro box:1 sh -c 'echo x > /v/h' 2>&1; echo rc=$?
t tmpfs; run --rm --tmpfs /t:size=1m box:1 sh -c 'df /t | tail -1 | grep -c tmpfs; dd if=/dev/zero of=/t/a bs=1k count=2000 2>&1 | head -1'
t tty; run --rm -t box:1 tty; run --rm -t box:1 sh -c 'test -t 0 && echo tty'
t mem; run --rm -m 64m box:1 sh -c 'free -m >/dev/null; echo ok'; echo rc=$?
t pids; run --rm --pids-limit 20 box:1 sh -c 'i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done 2>&1 | head -1 | cut -c1-20; wait'
t detach; run -d --name $N box:1 sh -c 'trap "echo bye; exit 9" TERM; echo started; while :; do sleep 0.1; done' >/dev/null; sleep 1
docker logs $N
t exec; docker exec $N sh -c 'echo in; exit 3'; echo rc=$?; echo xyz | docker exec -i $N cat; docker exec -u 1000 -e Q=1 -w /tmp $N sh -c 'id -u; echo $Q; pwd'; docker exec -t $N tty; docker exec $N nosuch >/dev/null 2>&1; echo rc=$?; docker exec -d $N touch /tmp/made; sleep 0.5; docker exec $N ls /tmp
t cp; echo data > $D/cpin; docker cp $D/cpin $N:/tmp/cpin 2>/dev/null; docker exec $N cat /tmp/cpin; docker exec $N sh -c 'echo out > /tmp/cpout'; docker cp $N:/tmp/cpout - 2>/dev/null | tar xO
t top; [ "$(docker top $N | wc -l)" -ge 2 ] && echo shown
t stats; docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' $N | grep -qE '^[1-9][0-9]* [1-9]' && echo figures
t pause; docker pause $N >/dev/null; docker inspect -f '{{.State.Status}}' $N; docker unpause $N >/dev/null; docker inspect -f '{{.State.Status}}' $N
t update; docker update -m 100m --memory-swap 200m $N >/dev/null; echo rc=$?
t stop; docker stop -t 5 $N >/dev/null; docker inspect -f '{{.State.ExitCode}} {{.State.Status}}' $N; docker logs $N
t restart; docker start $N >/dev/null; sleep 0.5; docker kill $N >/dev/null; docker wait $N; docker rm $N >/dev/null; echo rc=$?
t rmf; run -d --name $N box:1 sleep 100 >/dev/null; docker rm -f $N >/dev/null; echo rc=$?
t kill; run -d --name $N box:1 sleep 100 >/dev/null; docker kill -s USR1 $N > /dev/null; sleep 0.3;  docker inspect -f '{{.State.Status}}' $N; docker rm -f $N >/dev/null
t init; run --rm --init box:1 sh -c 'cat /proc/1/comm'
t many; for i in $(seq 20); do run -d --name $N$i box:1 sh -c "echo $i; sleep 100" >/dev/null & done; wait
for i in $(seq 20); do docker logs $N$i; done; docker ps -q --filter "name=$N" | wc -l
docker rm -f $(seq -f "$N%g" 20) >/dev/null; docker ps -aq | wc -l
