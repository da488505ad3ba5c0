#include "tests/check/errors.hpp"

namespace check {

void Errors::tail_lost_data(Moment since) {
  ++now_;
  for (auto& [guest, debt] : guests_)
    if (debt.told <= since && (debt.loss == 0 || debt.loss < repaired_)) debt.loss = now_;
}

void Errors::forgive(Moment since) {
  for (auto& [guest, debt] : guests_)
    if (debt.loss == since + 1) debt.loss = 0;
}

bool Errors::owes(Guest guest) const {
  const auto found = guests_.find(guest);
  return found != guests_.end() && found->second.loss != 0 && found->second.loss >= repaired_;
}

Violation Errors::answer_sync(Guest guest, Moment asked, bool success) {
  ++now_;
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return {};
  if (!success) {
    found->second = {.loss = 0, .told = now_};
    return {};
  }
  if (!owes(guest) || found->second.loss > asked) return {};
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
