// libsodium's hash as Swift sees it; the library comes with libzmq, which needs it for CURVE.
#ifndef PALISADE_CSODIUM_SHIM_H
#define PALISADE_CSODIUM_SHIM_H

#include <sodium/core.h>
#include <sodium/crypto_generichash.h>

#endif
