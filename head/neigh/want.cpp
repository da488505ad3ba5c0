#include "head/neigh/want.hpp"

namespace head::neigh {

std::string_view to_string(BindingState state) noexcept {
  switch (state) {
    case BindingState::unplaced:
      return "unplaced";
    case BindingState::lost:
      return "lost";
    case BindingState::waiting:
      return "waiting";
    case BindingState::held:
      return "held";
    case BindingState::foreign:
      return "foreign";
    case BindingState::local:
      return "local";
    case BindingState::off:
      return "off";
    case BindingState::refused:
      return "refused";
  }
  return "?";
}

}  // namespace head::neigh
