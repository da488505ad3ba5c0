#include "netlink/change.hpp"

#include "netlink/format.hpp"

namespace netlink {

namespace {

std::string lladdr_of(const Neighbour& entry) {
  return entry.lladdr ? to_string(*entry.lladdr) : "none";
}

std::string flags_of(const Neighbour& entry) {
  std::string words = marks(entry);
  return words.empty() ? "none" : words;
}

}  // namespace

std::string what_changed(const Change& change) {
  if (!change.before) return "new";
  if (!change.after) return "gone";
  const Neighbour& was = *change.before;
  const Neighbour& is = *change.after;
  std::string text;
  const auto add = [&](const char* what, const std::string& from, const std::string& to) {
    if (from == to) return;
    if (!text.empty()) text += ", ";
    text += what + from + " to " + to;
  };
  add("", std::string(nud_name(was.state)), std::string(nud_name(is.state)));
  add("lladdr ", lladdr_of(was), lladdr_of(is));
  add("owner ", std::string(owner_name(was)), std::string(owner_name(is)));
  add("flags ", flags_of(was), flags_of(is));
  return text;
}

}  // namespace netlink
