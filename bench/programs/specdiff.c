// Compares a program's output with the expected one as SPEC CPU's own tool of this name does, whose options its compare.cmd gives:
//   specdiff [OPTIONS] EXPECTED ACTUAL
// Lines are compared word by word. Two words that are numbers are the same within --abstol or --reltol; with --obiwan, integers within
// 1; other words if they are the same text (--ignorecase: but for case). --floatcompare takes whole lines of numbers as such, which is
// what happens here anyway. --skiptol N lets N words of a file be out of their tolerance (--skipabstol, --skipreltol and --skipobiwan:
// the same, the largest counts). --cw takes carriage returns and runs of blanks as one blank, --nonansi numbers such as 1.0D+02 and
// 1.0-100, --binary whole files by bytes. Prints the first line that differs; exit status 1.
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double abstol = -1, reltol = -1;
static long skip;
static bool obiwan, ignorecase, binary, nonansi;

struct text {
    char* bytes;
    size_t size;
};

static struct text read_whole(const char* path) {
    FILE* f = fopen(path, "rb");
    if (f == NULL) {
        printf("specdiff: no %s\n", path);
        exit(1);
    }
    struct text t = {NULL, 0};
    size_t room = 0;
    for (;;) {
        if (t.size + 65536 + 1 > room) t.bytes = realloc(t.bytes, room = 2 * room + 131072);
        if (t.bytes == NULL) exit(2);
        const size_t n = fread(t.bytes + t.size, 1, 65536, f);
        if (n == 0) break;
        t.size += n;
    }
    t.bytes[t.size] = 0;
    fclose(f);
    return t;
}

/// A number that is the whole word. Fortran writes 1.0D+02, and 1.0-100 where the exponent leaves no room for its letter.
static bool number(const char* word, double* value) {
    char copy[128];
    const size_t n = strlen(word);
    if (n == 0 || n + 2 > sizeof copy || strchr("+-.0123456789", word[0]) == NULL) return false;
    memcpy(copy, word, n + 1);
    if (nonansi) {
        for (char* c = copy; *c != 0; ++c)
            if (*c == 'd' || *c == 'D') *c = 'e';
        for (size_t i = 1; i < n; ++i)
            if ((copy[i] == '+' || copy[i] == '-') && isdigit((unsigned char)copy[i - 1])) {
                memmove(copy + i + 1, copy + i, n - i + 1);
                copy[i] = 'e';
                break;
            }
    }
    char* end = NULL;
    *value = strtod(copy, &end);
    return end != copy && *end == 0;
}

static bool integral(const char* word) { return word[strcspn(word, ".eEdD")] == 0; }

static bool same_text(const char* a, const char* b) {
    for (; *a != 0 && *b != 0; ++a, ++b)
        if (*a != *b && !(ignorecase && tolower((unsigned char)*a) == tolower((unsigned char)*b)))
            return false;
    return *a == *b;
}

static bool same_word(const char* expected, const char* actual) {
    if (same_text(expected, actual)) return true;
    double a = 0, b = 0;
    if (!number(expected, &a) || !number(actual, &b)) return false;
    const double difference = fabs(a - b);
    if (obiwan && integral(expected) && integral(actual) && difference <= 1) return true;
    if (abstol >= 0 && difference <= abstol) return true;
    return reltol >= 0 && (a != 0 ? difference / fabs(a) : difference) <= reltol;
}

/// The next line, ended by 0, or null.
static char* line_of(char** rest) {
    char* line = *rest;
    if (line == NULL || *line == 0) return NULL;
    char* end = strchr(line, '\n');
    *rest = end != NULL ? end + 1 : NULL;
    if (end != NULL) *end = 0;
    return line;
}

static bool blank(const char* line) { return line[strspn(line, " \t\r\f")] == 0; }

static char* next_line(char** rest) {
    for (;;) {
        char* line = line_of(rest);
        if (line == NULL || !blank(line)) return line;
    }
}

static bool same_line(char* expected, char* actual) {
    char *at_a = NULL, *at_b = NULL;
    char* a = strtok_r(expected, " \t\r\f", &at_a);
    char* b = strtok_r(actual, " \t\r\f", &at_b);
    for (; a != NULL && b != NULL;
         a = strtok_r(NULL, " \t\r\f", &at_a), b = strtok_r(NULL, " \t\r\f", &at_b)) {
        if (same_word(a, b)) continue;
        double number_a = 0, number_b = 0;
        if (skip > 0 && number(a, &number_a) && number(b, &number_b)) {
            --skip;
            continue;
        }
        return false;
    }
    return a == NULL && b == NULL;
}

static long larger(long a, long b) { return a > b ? a : b; }

int main(int argc, char** argv) {
    const char* files[2];
    int count = 0;
    for (int i = 1; i < argc; ++i) {
        const char* word = argv[i];
        char given[64];
        const char* value = NULL;
        const char* equals = word[0] == '-' ? strchr(word, '=') : NULL;
        if (equals != NULL && (size_t)(equals - word) < sizeof given) {
            memcpy(given, word, (size_t)(equals - word));
            given[equals - word] = 0;
            word = given;
            value = equals + 1;
        }
        const bool takes = strcmp(word, "--abstol") == 0 || strcmp(word, "--reltol") == 0 ||
                           strncmp(word, "--skip", 6) == 0 || strcmp(word, "-l") == 0 ||
                           strcmp(word, "--lines") == 0;
        if (takes && value == NULL && i + 1 < argc) value = argv[++i];
        if (takes && value == NULL) return printf("specdiff: %s needs a value\n", word), 2;
        if (strcmp(word, "--abstol") == 0)
            abstol = strtod(value, NULL);
        else if (strcmp(word, "--reltol") == 0)
            reltol = strtod(value, NULL);
        else if (strncmp(word, "--skip", 6) == 0)
            skip = larger(skip, strtol(value, NULL, 10));
        else if (strcmp(word, "--obiwan") == 0)
            obiwan = true;
        else if (strcmp(word, "--ignorecase") == 0)
            ignorecase = true;
        else if (strcmp(word, "--binary") == 0)
            binary = true;
        else if (strcmp(word, "--nonansi") == 0)
            nonansi = true;
        else if (word[0] != '-' && count < 2)
            files[count++] = word;
        // What is left (-m, -q, --cw, --floatcompare, --calctol) changes what is printed, or nothing here.
    }
    if (count != 2) return puts("specdiff: two files are needed"), 2;
    struct text expected = read_whole(files[0]), actual = read_whole(files[1]);
    if (binary) {
        bool same = expected.size == actual.size;
        for (size_t n = 0; same && n < expected.size; ++n) {
            const int difference = abs((unsigned char)expected.bytes[n] - (unsigned char)actual.bytes[n]);
            same = difference == 0 || (obiwan && difference == 1) || skip-- > 0;
        }
        if (!same) printf("specdiff: %s differs\n", files[1]);
        return same ? 0 : 1;
    }
    char *rest_a = expected.bytes, *rest_b = actual.bytes;
    for (;;) {
        char *a = next_line(&rest_a), *b = next_line(&rest_b);
        if (a == NULL && b == NULL) return 0;
        if (a == NULL || b == NULL)
            return printf("specdiff: %s has %s lines\n", files[1], a == NULL ? "more" : "fewer"), 1;
        char shown_a[100], shown_b[100];
        snprintf(shown_a, sizeof shown_a, "%s", a);
        snprintf(shown_b, sizeof shown_b, "%s", b);
        if (!same_line(a, b))
            return printf("specdiff: %s: '%s' instead of '%s'\n", files[1], shown_b, shown_a), 1;
    }
}
