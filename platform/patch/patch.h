/* patch.h: placeholder */
#pragma once
#include "platform/base/attr.h"
struct patch_book;
void patch_book_free(struct patch_book *b);
MUST_CHECK int patch_book_copy(struct patch_book *b, struct patch_book **out);
