// libzip as Swift sees it.
#ifndef PALISADE_CZIP_SHIM_H
#define PALISADE_CZIP_SHIM_H

#include <zip.h>

#endif
