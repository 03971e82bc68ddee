//go:build tools

// Package upstream pins the programs of Kubernetes that tests compare knarr with. Nothing of it
// becomes part of knarr.
package upstream

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
