/*
 * scratch.c - which disk the probes may write to.
 */
#include "guest-drivers/certify/scratch.h"

#include "guest-drivers/certify/certify.h"

bool scratch_marked(const uint8_t sector[512])
{
	return memcmp(sector, CERTIFY_MARKER, CERTIFY_MARKER_BYTES) == 0;
}
