/* poison: tells AddressSanitizer which memory of ours nobody may touch now, so that using an object after it went
 * back to its pool is caught as using freed heap is. Nothing at all in other builds. */
#ifndef SPATE_BASE_POISON_H
#define SPATE_BASE_POISON_H

#include "engine/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define SPATE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPATE_ASAN 1
#endif
#endif

#ifdef SPATE_ASAN
#include <sanitizer/asan_interface.h>
#define poison(memory, size) __asan_poison_memory_region((memory), (size))
#define unpoison(memory, size) __asan_unpoison_memory_region((memory), (size))
#else
#define poison(memory, size) ((void)(memory), (void)(size))
#define unpoison(memory, size) ((void)(memory), (void)(size))
#endif

#endif
