#include "tests/check/errors.hpp"

namespace check {

void Errors::tail_lost_data() {
  ++now_;
  for (auto& [guest, owed] : guests_)
    if (owed == 0 || owed < repaired_) owed = now_;
}

Violation Errors::answer_sync(Guest guest, Moment asked, bool success) {
  ++now_;
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return {};
  Moment& owed = found->second;
  if (!success) {
    owed = 0;
    return {};
  }
  if (owed == 0 || owed > asked || owed < repaired_) return {};
  return {.rule = Rule::swallowed,
          .sentence = "guest " + std::to_string(guest) +
                      " was told that all is stable, and never that the tail has lost data"};
}

void Errors::allow(bool yes) {
  ++now_;
  if (allowed_ && !yes) allowed_until_ = now_;
  allowed_ = yes;
}

Violation Errors::fail(Request request, Moment asked, const std::string& what) {
  ++now_;
  if (excused_.count(request) != 0 || allowed_ || asked < allowed_until_) return {};
  return {.rule = Rule::invented,
          .sentence = what + " failed, though no tail refused it and no order said so"};
}

}  // namespace check
