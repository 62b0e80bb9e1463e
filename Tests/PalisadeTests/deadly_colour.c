// Loaded into a worker before libzmq (PoisonTests.swift): a message with a certain colour in it kills the process,
// as a mistake in some library would. Nothing in Palisade knows of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>

int zmq_msg_recv(void *message, void *socket, int flags) {
  int (*receive)(void *, void *, int) = (int (*)(void *, void *, int))dlsym(RTLD_NEXT, "zmq_msg_recv");
  void *(*data)(void *) = (void *(*)(void *))dlsym(RTLD_NEXT, "zmq_msg_data");
  int count = receive(message, socket, flags);
  char magenta[192];
  for (size_t i = 0; i < sizeof magenta; i++) magenta[i] = i % 3 == 1 ? 0 : (char)0xFF;
  if (count > 0 && memmem(data(message), (size_t)count, magenta, sizeof magenta)) raise(SIGKILL);
  return count;
}
