/*
 * aml.h - ACPI byte code that iasl made of the .asl files beside this one; aml.S carries it.
 *
 * Each blob is a whole table with header and checksum.
 */
#ifndef PLATFORM_AML_H
#define PLATFORM_AML_H

#include "base/compiler.h"

extern const uint8_t aml_dsdt[];
extern const uint64_t aml_dsdt_bytes;
extern const uint8_t aml_rtc[];
extern const uint64_t aml_rtc_bytes;
extern const uint8_t aml_vmbus[];
extern const uint64_t aml_vmbus_bytes;

#endif /* PLATFORM_AML_H */
