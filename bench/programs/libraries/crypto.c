// Hashes or encrypts so many MiB by name with libcrypto, and prints the digest, or the last block and the tag.
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kChunk = 1 << 16 };

static int print(const unsigned char* bytes, unsigned n) {
    for (unsigned k = 0; k < n; ++k) printf("%02x", bytes[k]);
    return putchar('\n') != '\n';
}

int main(int argc, char** argv) {
    static unsigned char in[kChunk], out[kChunk + EVP_MAX_BLOCK_LENGTH];
    if (argc != 3) return 2;
    const unsigned chunks = (unsigned)atoi(argv[2]) << 4;
    for (unsigned k = 0; k < kChunk; ++k) in[k] = (unsigned char)(k * 2654435761u >> 13);
    EVP_MD* md = EVP_MD_fetch(NULL, argv[1], NULL);
    if (md != NULL) {
        EVP_MD_CTX* ctx = EVP_MD_CTX_new();
        unsigned n = 0;
        int ok = EVP_DigestInit_ex(ctx, md, NULL);
        for (unsigned k = 0; k < chunks; ++k) ok &= EVP_DigestUpdate(ctx, in, kChunk);
        return !(ok & EVP_DigestFinal_ex(ctx, out, &n)) || print(out, n);
    }
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(NULL, argv[1], NULL);
    if (cipher == NULL) return fprintf(stderr, "no digest or cipher %s\n", argv[1]), 1;
    EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
    unsigned char key[EVP_MAX_KEY_LENGTH], iv[EVP_MAX_IV_LENGTH], tag[16] = {0};
    memset(key, 0x5a, sizeof key), memset(iv, 0xa5, sizeof iv);
    int n = 0, ok = EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL);
    for (unsigned k = 0; k < chunks; ++k) ok &= EVP_EncryptUpdate(ctx, out, &n, in, kChunk);
    if (!ok || print(out + kChunk - 32, 16)) return 1;
    const int aead = (EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER) != 0;
    if (!aead) return 0;
    ok &= EVP_EncryptFinal_ex(ctx, out, &n) & EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag);
    return !ok || print(tag, 16);
}
