// Names for the addresses of a report that a crash has left behind.
#pragma once

#include "head/base/result.hpp"

#include <string>
#include <string_view>

namespace head::symbols {

// Every line that is an address ("  0x55d0...") gets its function, file and line, as far as the
// files that the report says were mapped tell. The error is a sentence: they are another build now,
// say.
Result<std::string, std::string> explain(std::string_view report);

}  // namespace head::symbols
