// The verbs of the executable. Each takes what follows it on the command line and returns the exit
// code: 0, 1 for a failure (said on standard error), 2 for a mistake in the command line.
#pragma once

int kn_verb_up(int argc, char **argv);
int kn_verb_down(int argc, char **argv);
int kn_verb_reset(int argc, char **argv);
int kn_verb_status(int argc, char **argv);
int kn_verb_kubeconfig(int argc, char **argv);
int kn_verb_image(int argc, char **argv);
int kn_verb_version(int argc, char **argv);
// Not for people: what `up` starts.
int kn_verb_supervise(int argc, char **argv);
int kn_verb_server(int argc, char **argv);
int kn_verb_agent(int argc, char **argv);
