// The form of int8 weights, shared by the tables and int8.c.
#ifndef PALISADE_INT8_H
#define PALISADE_INT8_H
#include <stddef.h>
#include <stdint.h>

enum {
  INT8_PANEL = 64,  // outputs side by side: four zmm registers of 16 sums
  INT8_GROUP = 4,   // inputs that one vpdpbusd multiplies and adds
  INT8_ROWS = 6,    // rows of a tile: 6 × 4 sums fill 24 of 32 registers
};

static inline size_t int8_groups(size_t K) { return (K + INT8_GROUP - 1) / INT8_GROUP; }
static inline size_t int8_panels(size_t N) { return (N + INT8_PANEL - 1) / INT8_PANEL; }
#endif
