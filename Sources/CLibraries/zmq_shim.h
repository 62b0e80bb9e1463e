// ZeroMQ and eventfd as Swift sees them. ZeroMQ's own error numbers are macros over an expression,
// which Swift does not import, so they get names here.
#ifndef PALISADE_CZEROMQ_SHIM_H
#define PALISADE_CZEROMQ_SHIM_H

#include <sys/eventfd.h>
#include <zmq.h>

enum {
  shim_error_terminated = ETERM,
  shim_error_protocol = ENOCOMPATPROTO,
};

#endif
