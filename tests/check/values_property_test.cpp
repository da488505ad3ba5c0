// Values against brute force, on random histories of one sector: it never refuses what a right disc
// could have returned, and seldom allows what none could.
#include "tests/check/values_reference.hpp"
#include "tests/seeds.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
#include <string>
#include <vector>

using namespace check;

namespace {

using Block = std::array<std::byte, sector_bytes>;

Block block(Change change) {
  Block bytes{};
  if (change != 0) fill(bytes, change, 0, 0);
  return bytes;
}

struct Counts {
  unsigned both_allow = 0, both_refuse = 0, permissive = 0;
};

// A history that happens to Values and to the Reference alike.
class History {
 public:
  History(Promise promise, unsigned seed, Counts& counts)
      : random_(seed), counts_(counts), values_(0, 1, promise), reference_(promise) {}

  // False when Values has refused what it must not.
  bool play(unsigned events) {
    for (unsigned i = 0; i < events; ++i)
      if (!step()) return false;
    while (!reads_.empty())
      if (!end_read()) return false;
    begin_read();
    return end_read();
  }
  const std::string& story() const { return story_; }

 private:
  struct Flush {
    Values::Moment asked;
    unsigned number;
    Reference::Plan plan;
  };
  struct Read {
    Values::Moment asked;
    unsigned number;
  };

  unsigned any(std::size_t of) { return static_cast<unsigned>(random_() % of); }
  void tell(const std::string& what) { story_ += what + "; "; }

  bool step() {
    switch (any(14)) {
      case 0:
      case 1:
      case 2:
        if (last_ < Reference::changes_max) begin_change();
        return true;
      case 3:
      case 4:
      case 5:
        if (!changes_.empty()) end_change();
        return true;
      case 6:
        if (flushes_made_ < Reference::flushes_max) begin_flush();
        return true;
      case 7:
        if (!flushes_.empty()) end_flush();
        return true;
      case 8:
        disturb(crash_due_, "crash", [this] { values_.tail_crashed(); });
        return true;
      case 9:
        disturb(loss_due_, "loss of the log", [this] { values_.log_lost(); });
        return true;
      case 10:
      case 11:
        if (reads_made_ < Reference::reads_max - 1) begin_read();
        return true;
      default:
        return reads_.empty() || end_read();
    }
  }

  void begin_change() {
    const auto kind = std::array{Kind::write, Kind::write, Kind::zero, Kind::trim}[any(4)];
    const bool fua = kind != Kind::trim && any(4) == 0;
    changes_.push_back(values_.ask_change(kind, 0, 1, fua));
    last_ = reference_.ask_change(kind, fua);
    tell((kind == Kind::write  ? "write "
          : kind == Kind::zero ? "zero "
                               : "trim ") +
         std::to_string(last_) + (fua ? " with FUA" : ""));
  }

  void end_change() {
    const auto which = changes_.begin() + any(changes_.size());
    const Change change = *which;
    changes_.erase(which);
    const unsigned how = any(8);
    tell((how == 0 ? "failed " : how == 1 ? "abandoned " : "done ") + std::to_string(change));
    if (how == 1)
      values_.abandon(change);
    else
      values_.answer_change(change, how != 0);
    reference_.answer_change(change, how > 1);
  }

  void begin_flush() {
    const auto plan = any(4) == 0 ? Reference::Plan::fail : Reference::Plan::succeed;
    if (plan == Reference::Plan::fail) values_.may_forget(true);
    flushes_.push_back({values_.ask_flush(), reference_.ask_flush(plan), plan});
    ++flushes_made_;
    tell("flush " + std::to_string(flushes_.back().number) +
         (plan == Reference::Plan::fail ? " that will fail" : ""));
  }

  void end_flush() {
    const auto which = flushes_.begin() + any(flushes_.size());
    const Flush flush = *which;
    flushes_.erase(which);
    // Where it fails here and now, nothing else that flushes can have been overtaken.
    const bool planned = flush.plan == Reference::Plan::fail;
    const bool now = !planned && flushes_.empty() && any(4) == 0;
    tell(std::string(planned || now ? "failed" : "done") + " flush " +
         std::to_string(flush.number));
    values_.answer_flush(flush.asked, !planned && !now);
    if (planned) values_.may_forget(false);
    reference_.answer_flush(flush.number, !planned && !now);
    if (!planned && !now) return;
    values_.loss_heard();
    reference_.loss_heard();
  }

  // What takes time is told when it begins and when it is over.
  template <class Tell>
  void disturb(bool& due, const char* what, Tell&& tell_values) {
    if (!due && any(2) == 0) {
      due = true;
      tell_values();
      tell(std::string(what) + " begins");
      return;
    }
    due = false;
    tell(what);
    if (&due == &crash_due_)
      reference_.tail_crashed();
    else
      reference_.log_lost();
    tell_values();
  }

  void begin_read() {
    reads_.push_back({values_.ask_read(), reference_.ask_read()});
    ++reads_made_;
    tell("read " + std::to_string(reads_.back().number));
  }

  bool end_read() {
    const auto which = reads_.begin() + any(reads_.size());
    const Read read = *which;
    reads_.erase(which);
    std::vector<Change> possible;
    for (Change value = 0; value <= last_; ++value) {
      const bool may = reference_.may_read(read.number, value);
      Values copy = values_;
      const Violation violation = copy.answer_read(read.asked, 0, block(value));
      if (may) possible.push_back(value);
      if (may && violation) {
        story_ += "refused for read " + std::to_string(read.number) + ": " + violation.sentence;
        return false;
      }
      if (may) ++counts_.both_allow;
      if (!may && violation) ++counts_.both_refuse;
      if (!may && !violation) ++counts_.permissive;
    }
    const Change value = possible[any(possible.size())];
    values_.answer_read(read.asked, 0, block(value));
    reference_.answer_read(read.number, value);
    tell("read " + std::to_string(read.number) + " gave " + std::to_string(value));
    return true;
  }

 private:
  std::mt19937 random_;
  Counts& counts_;
  Values values_;
  Reference reference_;
  Change last_ = 0;
  unsigned flushes_made_ = 0, reads_made_ = 0;
  std::vector<Change> changes_;  // Under way, as the others.
  std::vector<Flush> flushes_;
  std::vector<Read> reads_;
  bool crash_due_ = false, loss_due_ = false;
  std::string story_;
};

}  // namespace

TEST_CASE("Values allows all that a right disc does, and little else", "[check]") {
  const auto promise = GENERATE(Promise::writeback, Promise::writethrough, Promise::replay);
  Counts counts;
  for (unsigned seed = 0; seed < tests::seeds(200); ++seed) {
    History history(promise, seed, counts);
    if (history.play(6 + seed % 12)) continue;
    FAIL("seed " << seed << ": " << history.story());
  }
  CAPTURE(counts.both_allow, counts.both_refuse, counts.permissive);
  CHECK(counts.both_allow > 100);
  CHECK(counts.permissive * 20 < counts.both_refuse);  // Two or three of a hundred.
}
