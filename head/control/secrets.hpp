// Text without what must not leave this machine: values of keys that are called a secret, and user
// names and passwords in URIs.
#pragma once

#include <string>
#include <string_view>

namespace head::control {

// Line by line. A key counts as secret when it, or its section, has password, secret, token,
// credential, passphrase, psk or private in its name; whatever is its value's kind.
std::string without_secrets(std::string_view text);

}  // namespace head::control
