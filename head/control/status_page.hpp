// The status page, status.html with status.js in it, as it was when headd was built. "@NONCE@" in
// it stands for a word that each answer has another of; only what bears it is run.
#pragma once

#include <string_view>

namespace head::control {

extern const std::string_view status_page;

}  // namespace head::control
