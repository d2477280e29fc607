/* See runtime.c. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "../src/maths.h"

void *runtime_alloc(size_t size);
void runtime_free(void *memory);

#endif
