/*
 * personality.h - the one face that core calls for a guest, made of those that its configuration
 * names.
 *
 * `personality` itself is declared in vm/face.h. A guest with neither face has no leaf, MSR or
 * hypercall here.
 */
#ifndef ENLIGHTEN_PERSONALITY_H
#define ENLIGHTEN_PERSONALITY_H

#include "vm/face.h"

#endif /* ENLIGHTEN_PERSONALITY_H */
