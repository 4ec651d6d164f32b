#!/bin/sh
# Two "hosts" on one Linux machine: network namespaces that are joined by a virtual cable.
#
# 1. Ray: the head on one host, a worker on the other, and an extraction on both. The files must equal those of one
#    local worker.
# 2. torchrun: a training on both hosts; the cable is cut; both must end; the same command must resume and finish.
#
# Needs root, iproute2, the extra `ray`, and photos with faces. Prints one line for each check, then "All checks passed."
#
# Run: sudo PYTHON=.venv/bin/python benchmarks/two_hosts.sh PHOTOS [KIMG]
set -eu

photos=$(realpath "$1")
kimg=${2:-20}
python=$(command -v "${PYTHON:-python}")
folder=$(mktemp -d)
a=facesmith-a b=facesmith-b
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY # Ray would use them inside the cable's network
export OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled FACESMITH_CACHE="$folder/cache"

on() { # on HOST COMMAND...: run a command on a host
	host=$1
	shift
	ip netns exec "$host" "$@"
}

cleanup() {
	for host in $a $b; do
		for process in $(ip netns pids $host 2>/dev/null); do kill -9 "$process" 2>/dev/null || true; done
		ip netns delete $host 2>/dev/null || true
	done
	rm -rf "$folder"
}
trap cleanup EXIT INT TERM

fail() {
	echo "FAILED: $1"
	exit 1
}

ip netns add $a
ip netns add $b
ip link add cable-a netns $a type veth peer name cable-b netns $b
on $a ip address add 10.77.0.1/24 dev cable-a
on $b ip address add 10.77.0.2/24 dev cable-b
for host in $a $b; do on $host ip link set lo up; done
on $a ip link set cable-a up
on $b ip link set cable-b up

# 1. Ray

ray() { # ray HOST ARGUMENTS...
	host=$1
	shift
	on "$host" "$python" -m ray.scripts.scripts "$@" >"$folder/ray-$host.log" 2>&1 || fail "ray $*: $(tail -n 3 "$folder/ray-$host.log")"
}

extract() { # extract HOST OUT OPTIONS...
	host=$1 out=$2
	shift 2
	on "$host" "$python" -m facesmith extract "$photos" --out "$folder/$out" --shards 8 "$@" --quiet >/dev/null
}

ray $a start --head --node-ip-address 10.77.0.1 --port 6379 --num-cpus 1 --disable-usage-stats --include-dashboard false
sleep 3 # until the head answers
ray $b start --address 10.77.0.1:6379 --node-ip-address 10.77.0.2 --num-cpus 1 --disable-usage-stats
extract $a ray --engine ray --address 10.77.0.1:6379
for host in $a $b; do for process in $(ip netns pids $host); do kill -9 "$process" || true; done; done
extract $a local --workers 1
diff -r "$folder/ray" "$folder/local" >/dev/null || fail "the files of Ray differ from those of one worker"
echo "Ray on two hosts gives the files of one worker."

# 2. torchrun

start_training() { # start_training HOST NUMBER CABLE: both hosts train one run; its log is HOST.log
	GLOO_SOCKET_IFNAME=$3 on "$1" "$python" -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --node-rank "$2" \
		--master-addr 10.77.0.1 --master-port 29400 -m facesmith train dcgan64 --data "$folder/local" \
		--out "$folder/run" --kimg "$kimg" --save-every 1 --precision float32 --threads 1 \
		--set width=8 --set batch_size=16 >"$folder/$1.log" 2>&1 &
}

train() { # train both hosts; sets first and second to their process ids
	start_training $a 0 cable-a
	first=$!
	start_training $b 1 cable-b
	second=$!
}

train
until [ -e "$folder/run/state.pt" ] && [ -e "$folder/run/model.safetensors" ]; do
	kill -0 $first 2>/dev/null || fail "the training ended early: $(tail -n 3 "$folder/$a.log")"
	sleep 0.2
done
on $a ip link set cable-a down
cut=$(date +%s)
wait $first && fail "host a does not notice the cut cable"
wait $second && fail "host b does not notice the cut cable"
seconds=$(($(date +%s) - cut))
grep -q "can't be reached" "$folder/$a.log" "$folder/$b.log" || fail "no host says what happened"
[ $seconds -le 60 ] || fail "the hosts ended only $seconds s after the cable was cut; expected at most 60"
echo "After the cable was cut, both hosts ended within $seconds s."
on $a ip link set cable-a up
train
wait $first || fail "host a does not resume: $(tail -n 3 "$folder/$a.log")"
wait $second || fail "host b does not resume: $(tail -n 3 "$folder/$b.log")"
grep -q resuming "$folder/$a.log" || fail "the run started over"
echo "The same command resumed and finished."
echo "All checks passed."
