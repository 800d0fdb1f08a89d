# network.sh RUNTIME: networks of docker, for one runtime; the outputs of two are compared. Besides $D and
# DOCKER_HOST it needs $NETNS: a command prefix into the daemon's network namespace, where 10.99.0.1 is docker0's
# address; networks one and two; and a name server at 10.99.0.1 that knows outside.test (tests/docker/dns.py).
R=$1 N=n$1
t() { echo "== $*"; }
docker() { command timeout -k 1 30 docker "$@"; }
run() { docker run --runtime "$R" "$@"; }
serve() { # NAME OPTION...: a container that serves a page with its name and 20 MB
	local name=$1; shift
	docker run -d --name "$name" "$@" box:1 sh -c "mkdir /w; echo a page >/w/index.html
		dd if=/dev/zero bs=1M count=20 2>/dev/null | tr '\0' x >/w/big; exec httpd -f -p 80 -h /w" >/dev/null
	for _ in $(seq 50); do docker exec "$name" sh -c 'test $(wc -c </w/big) = 20971520 && netstat -tln | grep -q :80' && return; sleep 0.1; done
}
t net-default; run --rm box:1 sh -c 'ip -o -4 addr show eth0 | wc -l; ip route | grep ^default; cat /sys/class/net/eth0/mtu 2>/dev/null || echo 1500'
t net-gateway; run --rm box:1 sh -c 'ping -c 1 -W 3 10.99.0.1 >/dev/null; echo rc=$?'
t net-closed; run --rm box:1 sh -c 'echo | nc -w 3 10.99.0.1 9; echo rc=$?'
serve $N --runtime $R --network one --network-alias web -p 127.0.0.1:8080:80 -p 10.99.0.1:8081:80
t net-name; run --rm --network one box:1 sh -c "nslookup $N | grep -c Address; wget -qO- http://$N/; wget -qO- http://web/; nslookup -type=a nobody.invalid >/dev/null; echo rc=\$?"
t net-own-name; docker exec $N wget -qO- http://$N/
t net-outside; run --rm --network one --dns 10.99.0.1 box:1 sh -c 'nslookup outside.test | grep Address | tail -1'
t net-53; run --rm --network one box:1 sh -c 'nc -l -u -p 53 -w 1; echo rc=$?'
t net-publish; $NETNS curl -s -m 5 http://127.0.0.1:8080/; $NETNS curl -s -m 5 http://10.99.0.1:8081/
t net-publish-outside; ip netns exec $OUTSIDE curl -s -m 5 http://10.99.0.1:8081/; ip netns exec $OUTSIDE curl -s -m 5 http://10.98.0.1:8080/; echo rc=$?
t net-big; run --rm --network one box:1 sh -c "wget -qO- http://$N/big | md5sum"; $NETNS curl -s -m 20 http://127.0.0.1:8080/big | md5sum
t net-other-runtime; docker run --rm --runtime runc --network one box:1 wget -T 5 -qO- http://$N/
t net-apart; run --rm --network two box:1 sh -c "nslookup $N >/dev/null 2>&1; echo rc=\$?"
t net-two; docker create --runtime $R --name $N-two --network one box:1 sh -c "ip -o link | grep -c eth; wget -qO- http://$N/; ip -o -4 addr | grep -c eth" >/dev/null; docker network connect two $N-two; docker start -a $N-two; docker rm $N-two >/dev/null
t net-mtu; run --rm --network small box:1 sh -c "ip link show eth0 | grep -o 'mtu [0-9]*'"
t net-restart; docker restart -t 1 $N >/dev/null; sleep 1; run --rm --network one box:1 wget -T 5 -qO- http://$N/; $NETNS curl -s -m 5 http://127.0.0.1:8080/
t net-udp; run -d --name $N-u --network one -p 127.0.0.1:8082:7/udp box:1 sh -c 'exec nc -ul -p 7 -e cat' >/dev/null; sleep 0.5
echo ping | $NETNS timeout 2 busybox nc -u -w 1 127.0.0.1 8082; docker rm -f $N-u >/dev/null
t net-none; run --rm --network none box:1 sh -c 'ip -o link | wc -l'
t net-many; for i in $(seq 8); do run -d --name $N-$i --network one box:1 sh -c "echo $i >/tmp/index.html; exec httpd -f -h /tmp" >/dev/null & done; wait
run --rm --network one box:1 sh -c "sleep 1; for i in \$(seq 8); do wget -T 5 -qO- http://$N-\$i/; done"; docker rm -f $(seq -f "$N-%g" 8) >/dev/null
docker rm -f $N >/dev/null
