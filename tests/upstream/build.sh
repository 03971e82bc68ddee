#!/usr/bin/env bash
# Builds upstream's programs from this module, once, into a cache outside the tree, and prints the
# folder. Usage: build.sh [PROGRAM...]   (kube-apiserver kubectl agnhost e2e.test; default: the first)
set -euo pipefail
cd "$(dirname "$0")"
version=$(sed -n 's/^require k8s.io\/kubernetes v//p; s/^\tk8s.io\/kubernetes v\([0-9.]*\).*/\1/p' go.mod | head -1)
cache=${KNARR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/knarr-tests}/kubernetes-$version
command -v go >/dev/null || { echo "needs go (1.26 or newer) to build Kubernetes $version" >&2; exit 77; }
mkdir -p "$cache"
minor=${version#1.}; minor=${minor%%.*}
stamp="-s -w -X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
for program in "${@:-kube-apiserver}"; do
  [ -x "$cache/$program" ] && continue
  echo "building $program of Kubernetes $version (minutes, once)" >&2
  export GOFLAGS=-mod=mod
  case $program in
  e2e.test) go test -c -ldflags "$stamp" -o "$cache/$program.new" k8s.io/kubernetes/test/e2e ;;
  agnhost) CGO_ENABLED=0 go build -ldflags "$stamp" -o "$cache/$program.new" k8s.io/kubernetes/test/images/agnhost ;;
  *) go build -ldflags "$stamp" -o "$cache/$program.new" "k8s.io/kubernetes/cmd/$program" ;;
  esac
  mv "$cache/$program.new" "$cache/$program"
done
echo "$cache"
