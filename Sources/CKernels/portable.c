// Sixteen lanes without any special instruction: what every CPU can run.
#include "lanes_table.h"

LANES_TABLE(kernel_table_portable, "portable");
