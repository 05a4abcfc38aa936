/* TAC verdicts for many cards at once, each with a key of its own. Included by one file for each width of vector.
 *
 * Before: LANE_WORDS, 64 lanes each; CHECK_LANES, the name of the function. A BITS holds one bit of every lane: lane n
 * is bit 63 - n % 64 of word n / 64. DES on it is des_wires.h: gates and wires, no tables are looked up and nothing
 * branches on a key, a message or a TAC.
 */

#include <string.h>

#include "tac.h"

typedef uint64_t BITS __attribute__((vector_size(8 * LANE_WORDS)));

#include "des_wires.h"

enum { LANES = 64 * LANE_WORDS };

struct halves {
    BITS left[32], right[32];
};

struct work {
    BITS outer[64], inner[64], single[64], block[64], tac[64];
    struct halves factor, other, chain;
};

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (int at = 0; at < 8; at++)
        word = word << 8 | bytes[at];
    return word;
}

/* 64 words a lane become 64 BITS: afterwards bits[0] has the first bit of each block. */
static void transpose(BITS *bits)
{
    uint64_t low = 0x00000000FFFFFFFF;
    for (int step = 32; step; step >>= 1, low ^= low << step)
        for (int at = 0; at < 64; at = (at + step + 1) & ~step) {
            BITS swapped = (bits[at] ^ bits[at + step] >> step) & low;
            bits[at] ^= swapped;
            bits[at + step] ^= swapped << step;
        }
}

static void set_word(BITS *bits, unsigned lane, uint64_t word)
{
    bits[lane % 64][lane / 64] = word;
}

static __attribute__((noinline)) void des(struct halves *half, const BITS *key, int backward)
{
    BITS *left = half->left, *right = half->right;
    for (int turn = 0; turn < 16; turn += 2) {
        round_of_des(right, left, key, SCHEDULE[backward ? 15 - turn : turn]);
        round_of_des(left, right, key, SCHEDULE[backward ? 14 - turn : turn + 1]);
    }
    /* The last round does not swap; ours never do, so it is here that the halves change places. */
    for (int bit = 0; bit < 32; bit++) {
        BITS kept = left[bit];
        left[bit] = right[bit];
        right[bit] = kept;
    }
}

/* The final permutation of one DES and the initial one of the next undo each other: neither is done. */
static void triple_des(struct halves *half, const BITS *outer, const BITS *inner)
{
    des(half, outer, 0);
    des(half, inner, 1);
    des(half, outer, 0);
}

/* `half` ^= the initial permutation of `block`. */
static void add_block(struct halves *half, const BITS *block)
{
    for (int bit = 0; bit < 32; bit++) {
        half->left[bit] ^= block[PERMUTED[bit]];
        half->right[bit] ^= block[PERMUTED[32 + bit]];
    }
}

/* The single DES key of each card: what 3DES under the issuer's key makes of the card's factor, xor of its complement. */
static void derive(struct work *work)
{
    memset(&work->factor, 0, sizeof work->factor);
    add_block(&work->factor, work->block);
    for (int bit = 0; bit < 32; bit++) {
        work->other.left[bit] = ~work->factor.left[bit];
        work->other.right[bit] = ~work->factor.right[bit];
    }
    triple_des(&work->factor, work->outer, work->inner);
    triple_des(&work->other, work->outer, work->inner);
    for (int bit = 0; bit < 32; bit++) {
        work->single[PERMUTED[bit]] = work->factor.left[bit] ^ work->other.left[bit];
        work->single[PERMUTED[32 + bit]] = work->factor.right[bit] ^ work->other.right[bit];
    }
}

/* Up to LANES rows; lanes without one repeat the first. */
static void check_group(struct work *work, const struct task *task, const uint32_t *numbers, size_t count)
{
    const uint8_t *row[LANES];
    for (unsigned lane = 0; lane < LANES; lane++) {
        uint32_t number = numbers[lane < count ? lane : 0];
        const uint8_t *key = task->keys + (size_t)KEY_BYTES * task->tags[number];
        row[lane] = task->rows + (size_t)ROW_BYTES * number;
        set_word(work->outer, lane, big_endian(key));
        set_word(work->inner, lane, big_endian(key + 8));
        set_word(work->block, lane, big_endian(row[lane] + CARD_AT));
        set_word(work->tac, lane, big_endian(row[lane] + TAC_AT - 4) << 32); /* the 4 bytes before it are message */
    }
    transpose(work->outer);
    transpose(work->inner);
    transpose(work->block);
    transpose(work->tac);
    derive(work);

    memset(&work->chain, 0, sizeof work->chain);
    for (unsigned part = 0; part < 3; part++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            uint64_t word = big_endian(row[lane] + MESSAGE_AT + 8 * part);
            if (part == 2) /* 6 bytes are left, then 80 and zeros */
                word = (word & ~(uint64_t)0xFFFF) | 0x8000;
            set_word(work->block, lane, word);
        }
        transpose(work->block);
        add_block(&work->chain, work->block);
        des(&work->chain, work->single, 0);
    }

    BITS wrong = {0};
    for (int bit = 0; bit < 32; bit++) {
        if (PERMUTED[bit] < 32)
            wrong |= work->chain.left[bit] ^ work->tac[PERMUTED[bit]];
        if (PERMUTED[32 + bit] < 32)
            wrong |= work->chain.right[bit] ^ work->tac[PERMUTED[32 + bit]];
    }
    for (unsigned lane = 0; lane < count; lane++)
        task->verdicts[numbers[lane]] = (uint8_t)(wrong[lane / 64] >> (63 - lane % 64) & 1 ? ROW_BAD : ROW_OK);
}

size_t CHECK_LANES(const struct task *task)
{
    struct work work;
    uint32_t numbers[LANES];
    size_t waiting = 0, answered = 0;
    memset(&work, 0, sizeof work);
    for (size_t number = 0; number < task->count; number++) {
        uint8_t verdict = task->of_tag[task->tags[number]];
        if (verdict != ROW_CHECK) {
            task->verdicts[number] = verdict;
            answered++;
            continue;
        }
        numbers[waiting++] = (uint32_t)number;
        if (waiting == LANES) {
            check_group(&work, task, numbers, waiting);
            answered += waiting;
            waiting = 0;
        }
    }
    if (waiting) {
        check_group(&work, task, numbers, waiting);
        answered += waiting;
    }
    return answered; /* what `work` held is overwritten by the caller, with the rest of the stack */
}
