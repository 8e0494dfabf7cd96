/*
 * unwatched.h - functions that no sanitizer looks at and that guide no fuzzer: for walks over much memory of known size.
 */
#ifndef TESTS_FUZZ_UNWATCHED_H
#define TESTS_FUZZ_UNWATCHED_H

#define UNWATCHED __attribute__((no_sanitize("address", "undefined", "coverage")))

#endif /* TESTS_FUZZ_UNWATCHED_H */
