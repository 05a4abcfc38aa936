/* Bulk TAC verdicts: tags, dates, and which width of vector does the work. Called from __init__.py through ctypes.
 *
 * Nothing is kept between calls, so threads may call at the same time.
 */

#include "tac.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { VARIANT_PORTABLE = 1, VARIANT_AVX2 = 2 };
enum { NO_MEMORY = -1, BAD_TAG = -2, NO_VARIANT = -3 };
enum { SLOTS_FIRST = 1024, FREE = 0, STACK_BYTES = 1 << 15, SHARED = 4 };

/* Zeros that the compiler does not leave out. */
static void wipe(void *at, size_t size)
{
    memset(at, 0, size);
    __asm__ volatile("" : : "r"(at) : "memory");
}

/* Where the functions of the lanes had their keys, and what did not fit into registers: about 20 KB. */
static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[STACK_BYTES];
    wipe(below, sizeof below);
}

EXPORT void tac_wipe(void *at, size_t size)
{
    wipe(at, size);
}

/* The variants this processor runs, as a sum. */
EXPORT int tac_variants(void)
{
    int found = VARIANT_PORTABLE;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        found += VARIANT_AVX2;
#endif
    return found;
}

/* --- tags ------------------------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t word)
{
    word ^= word >> 32;
    word *= 0xD6E8FEB86659FD93;
    word ^= word >> 29;
    word *= 0xA0761D6478BD642F;
    return word ^ word >> 32;
}

static uint32_t three_of(const uint8_t *row)
{
    return (uint32_t)row[16] << 16 | (uint32_t)row[17] << 8 | row[18];
}

/* With a seed that nobody outside knows, so that nobody can send issuers that all fall into one slot. */
static uint64_t hash_of(const uint8_t *row, uint64_t seed)
{
    uint64_t issuer;
    memcpy(&issuer, row, sizeof issuer);
    return mixed(mixed(issuer ^ seed) + three_of(row));
}

static int same_tag(const uint8_t *row, const uint8_t *other)
{
    return memcmp(row, other, 8) == 0 && three_of(row) == three_of(other);
}

/* A table of twice the size with the same tags; NULL: no memory. A slot holds a tag's number plus 1. */
static uint32_t *grown(uint32_t *slots, size_t size, const uint8_t *rows, const uint32_t *first, uint32_t tags,
                       uint64_t seed)
{
    uint32_t *larger = calloc(size, sizeof *larger);
    free(slots);
    for (uint32_t tag = 0; larger && tag < tags; tag++) {
        size_t slot = hash_of(rows + (size_t)ROW_BYTES * first[tag], seed) & (size - 1);
        while (larger[slot] != FREE)
            slot = (slot + 1) & (size - 1);
        larger[slot] = tag + 1;
    }
    return larger;
}

/* Number the distinct tags of `count` rows, fewer than 2^32, in the order they come.
 *
 * tags     out: of each row
 * first    out: a row of each tag; room for `count`
 * returns  how many tags, or NO_MEMORY
 */
EXPORT int64_t tac_tags(const uint8_t *rows, size_t count, uint64_t seed, uint32_t *tags, uint32_t *first)
{
    size_t size = SLOTS_FIRST;
    uint32_t found = 0;
    uint32_t *slots = calloc(size, sizeof *slots);
    if (!slots)
        return NO_MEMORY;
    for (size_t number = 0; number < count; number++) {
        const uint8_t *row = rows + (size_t)ROW_BYTES * number;
        if (number && same_tag(row, row - ROW_BYTES)) {
            tags[number] = tags[number - 1];
            continue;
        }
        size_t slot = hash_of(row, seed) & (size - 1);
        while (slots[slot] != FREE && !same_tag(row, rows + (size_t)ROW_BYTES * first[slots[slot] - 1]))
            slot = (slot + 1) & (size - 1);
        if (slots[slot] == FREE) {
            first[found++] = (uint32_t)number;
            slots[slot] = found;
        }
        tags[number] = slots[slot] - 1;
        if (found > size / 2 && !(slots = grown(slots, size *= 2, rows, first, found, seed)))
            return NO_MEMORY;
    }
    free(slots);
    return found;
}

/* --- verdicts --------------------------------------------------------------------------------------------------- */

/* A verdict for each row. Returns how many rows got one, or BAD_TAG, NO_VARIANT. */
EXPORT int64_t tac_verify(int variant, const uint8_t *rows, size_t count, const uint32_t *tags, size_t tag_count,
                          const uint8_t *keys, const uint8_t *of_tag, uint8_t *verdicts)
{
    struct task task = {rows, count, tags, keys, of_tag, verdicts};
    int64_t answered;
    for (size_t number = 0; number < count; number++)
        if (tags[number] >= tag_count)
            return BAD_TAG;
    if (!(variant & tac_variants()))
        return NO_VARIANT;
#if defined(__x86_64__)
    if (variant == VARIANT_AVX2)
        answered = (int64_t)check_avx2(&task);
    else
#endif
        answered = (int64_t)check_portable(&task);
    wipe_stack();
    return answered;
}

/* --- how often a card came -------------------------------------------------------------------------------------- */

/* Count the cards of these rows. Each card has four counters among those of all; the smallest of them is how often it
 * came, or a little more where others share all four. Only those that are smallest grow.
 *
 * counts   SHARED times `size` counters, `size` a power of two
 * returns  how many cards came for the `most` + 1st time
 */
EXPORT size_t tac_count(const uint8_t *rows, size_t count, uint64_t seed, uint16_t *counts, size_t size, uint16_t most)
{
    size_t passed = 0;
    for (const uint8_t *row = rows; count--; row += ROW_BYTES) {
        uint64_t card;
        uint16_t *at[SHARED], least = UINT16_MAX;
        memcpy(&card, row + CARD_AT, sizeof card);
        for (size_t way = 0; way < SHARED; way++) {
            card = mixed(card + seed);
            at[way] = counts + way * size + (card & (size - 1));
            least = *at[way] < least ? *at[way] : least;
        }
        if (least == UINT16_MAX)
            continue;
        for (size_t way = 0; way < SHARED; way++)
            if (*at[way] == least)
                ++*at[way];
        passed += least == most;
    }
    return passed;
}

/* --- dates ------------------------------------------------------------------------------------------------------ */

static uint8_t pair(uint32_t number)
{
    return (uint8_t)(number + 6 * (number / 10));
}

/* Of each row turn the seconds since 1970 that stand big-endian at STAMP_AT into YYYYMMDDhhmmss, UTC+8: tunion.bcd. */
EXPORT void tac_stamp(uint8_t *rows, size_t count)
{
    for (; count--; rows += ROW_BYTES) {
        uint8_t *at = rows + STAMP_AT;
        uint64_t local = ((uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3]) + 8 * 3600;
        uint32_t second = (uint32_t)(local % 86400), days = (uint32_t)(local / 86400) + 719468;
        uint32_t era = days / 146097, of_era = days % 146097;
        uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        uint32_t from_march = (5 * of_year + 2) / 153;
        uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
        uint32_t year = 400 * era + year_of_era + (month < 3);
        at[0] = pair(year / 100);
        at[1] = pair(year % 100);
        at[2] = pair(month);
        at[3] = pair(of_year - (153 * from_march + 2) / 5 + 1);
        at[4] = pair(second / 3600);
        at[5] = pair(second / 60 % 60);
        at[6] = pair(second % 60);
    }
}
