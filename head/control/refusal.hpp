// Why the agent does not do what it is asked.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace head::control {

// Why something was not accepted; the sentence names the thing and the way out.
struct Refusal {
  enum class Why {
    no_such_disc,
    no_such_import,
    no_such_tail,
    exists,
    detaching,
    too_many,
    no_memory,
    unfit,
    not_stored,
    duplicate,
    outdated,
    held,
    upgrading
  };
  Why why;
  std::string sentence;
  std::optional<std::size_t> index{};  // The disc of an import that is meant, where one is.
};

}  // namespace head::control
