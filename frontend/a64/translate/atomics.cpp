#include "frontend/a64/translate/common.h"
