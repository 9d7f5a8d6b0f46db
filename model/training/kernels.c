/* What a training step does row by row on a CPU, in loops that stay in its caches.

   Tables are float32, rows by columns, without gaps. A step of B ratings touches rows of users and of
   movies; D of them are different. Rows are numbered by int32 among users or among movies, and by
   int64 in the whole table, where users come first. model/training/kernels.py checks and calls. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* As wide as the processor at hand has it; other compilers know no such names, and are slower. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

/* So many rows before it is needed, a row is asked for from memory: of those that are read once for
   each rating, and of those that have several ratings each. */
enum { AHEAD = 4, GROUPS_AHEAD = 2 };

/* Which source this was made of, as setup.py says. */
const char *source(void)
{
    return SOURCE;
}

static inline void fetch(const float *row, int64_t width)
{
    for (int64_t byte = 0; byte < width * 4; byte += 64)
        __builtin_prefetch((const char *)row + byte);
}

/* The rows of one side of a batch, and which of its ratings each of them has. */
typedef struct {
    int64_t rows;
    int32_t *row;    /* in order of their first rating */
    int32_t *start;  /* where a row's ratings begin in `rating`; one more than there are rows */
    int32_t *rating; /* places in the batch, row by row, in the batch's order */
} Side;

/* `slot` holds -1 for each of `limit` rows, and does so again afterwards. Returns 0 if a row is none
   of them. */
static int gather(
    const int32_t *row_B, int64_t B, int64_t limit, int32_t *slot, int32_t *room, Side *side)
{
    int32_t *row = room, *start = row + B, *rating = start + B + 1, *of_B = rating + B;
    int64_t rows = 0;
    int known = 1;
    for (int64_t b = 0; b < B; b++) {
        known = row_B[b] >= 0 && row_B[b] < limit;
        if (!known)
            break;
        int32_t place = slot[row_B[b]];
        if (place < 0) {
            place = slot[row_B[b]] = (int32_t)rows;
            row[rows] = row_B[b];
            start[rows++] = 0;
        }
        of_B[b] = place;
        start[place]++;
    }
    int32_t before = 0;
    for (int64_t d = 0; d < rows; d++) {
        int32_t count = start[d];
        start[d] = before;
        before += count;
        slot[row[d]] = -1;
    }
    if (!known)
        return 0;
    for (int64_t b = 0; b < B; b++)
        rating[start[of_B[b]]++] = (int32_t)b;
    for (int64_t d = rows; d > 0; d--)
        start[d] = start[d - 1];
    start[0] = 0;
    *side = (Side){rows, row, start, rating};
    return 1;
}

/* What makes ratings' errors, and where their squares go. */
typedef struct {
    const float *rating_B;
    float mean, delta;
    float *square_B;
} Errors;

/* The gradients of one side's rows: each one's penalty and, of each of its ratings, slope times the
   other side's row. Slopes are those of `errors`, or of the side that had them if that is none. */
WIDE static void of_side(
    const float *own_XW, const float *other_YW, int64_t W, int64_t K, const Side *side,
    const int32_t *other_B, const Errors *errors, float scale, const float *l2_W, float *slope_B,
    float *gradient_DW)
{
    for (int64_t d = 0; d < side->rows; d++) {
        const float *own = own_XW + side->row[d] * W;
        float *gradient = gradient_DW + d * W;
        int32_t begin = side->start[d], end = side->start[d + 1];
        float penalty = scale * (end - begin), slopes = 0;
        if (d + GROUPS_AHEAD < side->rows)
            fetch(own_XW + side->row[d + GROUPS_AHEAD] * W, W);
#pragma omp simd
        for (int64_t w = 0; w < W; w++)
            gradient[w] = penalty * l2_W[w] * own[w];
        for (int32_t n = begin; n < end; n++) {
            int32_t b = side->rating[n];
            const float *other = other_YW + other_B[b] * W;
            if (n + AHEAD < side->start[side->rows])
                fetch(other_YW + other_B[side->rating[n + AHEAD]] * W, W);
            if (errors) {
                float error = 0, delta = errors->delta;
#pragma omp simd reduction(+ : error)
                for (int64_t k = 0; k < K; k++)
                    error += own[k] * other[k];
                if (W > K)
                    error += own[K] + other[K] + errors->mean;
                error -= errors->rating_B[b];
                errors->square_B[b] = error * error;
                slope_B[b] = scale * (error > delta ? delta : error < -delta ? -delta : error);
            }
            float slope = slope_B[b];
            slopes += slope;
#pragma omp simd
            for (int64_t k = 0; k < K; k++)
                gradient[k] += slope * other[k];
        }
        if (W > K)
            gradient[K] += slopes;
    }
}

/* Biased matrix factorisation: gradients of the rows that B ratings touch, users' before movies', and
   the sum of squared errors. A table of W columns has K factors and, where W is K + 1, a bias.

   slot_N: int32, -1 for each row of the table. room: int32, 8 B + 2. of_ratings: float, 2 B.
   row_D and gradient_DW have room for 2 B rows. Returns D, or -1 if a user or movie is none of the
   table: then nothing of it was changed. */
int64_t gradients_of_ratings(
    const float *table_NW, int64_t U, int64_t M, int64_t W, int64_t K, const int32_t *user_B,
    const int32_t *movie_B, const float *rating_B, int64_t B, float mean, float delta, float scale,
    const float *user_l2_W, const float *movie_l2_W, int32_t *slot_N, int32_t *room, float *of_ratings,
    int64_t *row_D, float *gradient_DW, double *squares)
{
    const float *movie_MW = table_NW + U * W;
    float *slope_B = of_ratings, *square_B = of_ratings + B;
    Side users, movies;
    if (!gather(user_B, B, U, slot_N, room, &users) ||
        !gather(movie_B, B, M, slot_N + U, room + 4 * B + 1, &movies))
        return -1;
    Errors errors = {rating_B, mean, delta, square_B};
    of_side(table_NW, movie_MW, W, K, &users, movie_B, &errors, scale, user_l2_W, slope_B, gradient_DW);
    of_side(movie_MW, table_NW, W, K, &movies, user_B, NULL, scale, movie_l2_W, slope_B,
            gradient_DW + users.rows * W);
    for (int64_t d = 0; d < users.rows; d++)
        row_D[d] = users.row[d];
    for (int64_t d = 0; d < movies.rows; d++)
        row_D[users.rows + d] = U + movies.row[d];
    *squares = 0;
    for (int64_t b = 0; b < B; b++)
        *squares += square_B[b];
    return users.rows + movies.rows;
}

/* Adam (Kingma and Ba, 2015) moves D different rows. `rate` is divided by the first bias correction,
   `root` is one over the root of the second. Returns 0, or -1 if a row is none of N: then none was
   moved. */
WIDE int adam(
    float *table_NW, float *first_NW, float *second_NW, int64_t N, int64_t W, const int64_t *row_D,
    const float *gradient_DW, int64_t D, double beta1, double beta2, float epsilon, float rate,
    float root)
{
    const float kept = (float)beta2, first_new = (float)(1 - beta1), second_new = (float)(1 - beta2);
    for (int64_t d = 0; d < D; d++)
        if (row_D[d] < 0 || row_D[d] >= N)
            return -1;
    for (int64_t d = 0; d < D; d++) {
        float *weight = table_NW + row_D[d] * W, *first = first_NW + row_D[d] * W;
        float *second = second_NW + row_D[d] * W;
        const float *gradient = gradient_DW + d * W;
        if (d + AHEAD < D) {
            fetch(table_NW + row_D[d + AHEAD] * W, W);
            fetch(first_NW + row_D[d + AHEAD] * W, W);
            fetch(second_NW + row_D[d + AHEAD] * W, W);
        }
#pragma omp simd
        for (int64_t w = 0; w < W; w++) {
            float g = gradient[w];
            float m = first[w] + (g - first[w]) * first_new;
            float v = second[w] * kept + g * g * second_new;
            first[w] = m;
            second[w] = v;
            weight[w] -= rate * m / (sqrtf(v) * root + epsilon);
        }
    }
    return 0;
}
