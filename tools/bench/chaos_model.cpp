#include "tools/bench/chaos_model.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace bench::chaos {
namespace {

constexpr std::uint64_t magic = 0x48454144'43484153;  // HEADCHAS
using Words = std::array<std::uint64_t, sector_bytes / 8>;

// The finalizer of SplitMix64: every bit of the result depends on every bit of the value.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::uint64_t sum(const Words& words) {
  std::uint64_t sum = magic;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) sum = mix(sum + words[i]);
  return sum;
}

std::string list(const std::vector<Sequence>& sequences) {
  std::string text;
  for (const Sequence sequence : sequences)
    text += (text.empty() ? "" : " or ") + std::to_string(sequence);
  return text;
}

bool contains(const std::vector<Sequence>& all, Sequence one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void stamp(Sector sector, const Stamp& stamp) {
  Words words{magic, stamp.sequence, stamp.disc, stamp.sector};
  for (std::size_t i = 4; i + 1 < words.size(); ++i)
    words[i] = mix(words[i - 1] + words[i - 2] + words[i - 3] + i);
  words.back() = sum(words);
  std::memcpy(sector.data(), words.data(), sector.size());
}

History::History(std::uint32_t disc, std::uint64_t sectors, Promise promise)
    : disc_(disc), promise_(promise), sectors_(sectors) {}

Sequence History::ask_write(std::uint64_t first, std::uint64_t count, bool fua) {
  if (first > sectors_.size() || count > sectors_.size() - first)
    throw std::logic_error("a write beyond the disc");
  ++last_;
  under_way_.emplace(last_, Write{first, count, fua, losses_});
  for (std::uint64_t i = first; i < first + count; ++i) sectors_[i].open.push_back(last_);
  return last_;
}

void History::answer_write(Sequence sequence) {
  const Write write = under_way_.at(sequence);
  under_way_.erase(sequence);
  ++now_;
  for (std::uint64_t i = write.first; i < write.first + write.count; ++i) {
    State& state = sectors_[i];
    if (write.fua || promise_ == Promise::writethrough) {
      state.stable = {sequence};
      state.unflushed.clear();
    } else {
      // What was given up may be what this one was written over, and so what is left without it.
      for (const Sequence other : state.open)
        if (other < sequence) state.unflushed.push_back({other, write.asked, now_, false});
      state.unflushed.push_back({sequence, write.asked, now_});
    }
    std::erase_if(state.open, [&](Sequence other) { return other <= sequence; });
  }
}

void History::abandon(Sequence sequence) {
  under_way_.erase(sequence);
}

// What was at risk before the FLUSH is what it is after it, only not known.
void History::answer_flush(Flush flush) {
  for (State& state : sectors_) {
    const auto later = std::find_if(state.unflushed.begin(), state.unflushed.end(),
                                    [&](const Done& one) { return one.answer > flush; });
    const auto covered = later - state.unflushed.begin();
    if (covered == 0) continue;
    state.stable = possible(state, static_cast<std::size_t>(covered));
    state.unflushed.erase(state.unflushed.begin(), later);
  }
}

// What is kept for `replay` is lost with headd, and then only a crash of the tail shows that.
bool History::at_risk(const Done& write) const {
  if (!write.certain) return true;
  const bool tail = losses_.tail != write.asked.tail,
             head = head_in_doubt_ || losses_.head != write.asked.head;
  return tail && (promise_ == Promise::writeback || head);
}

std::vector<Sequence> History::possible(const State& state, std::size_t unflushed) const {
  std::vector<Sequence> all;
  for (std::size_t i = unflushed; i-- > 0;) {
    all.push_back(state.unflushed[i].sequence);
    if (!at_risk(state.unflushed[i])) return all;
  }
  for (const Sequence sequence : state.stable)
    if (!contains(all, sequence)) all.push_back(sequence);
  return all;
}

Verdict History::check(std::uint64_t first, std::span<const std::byte> bytes) const {
  if (bytes.size() % sector_bytes != 0 || first > sectors_.size() ||
      bytes.size() / sector_bytes > sectors_.size() - first)
    throw std::logic_error("a read that is not of whole sectors of the disc");
  for (std::uint64_t i = 0; i < bytes.size() / sector_bytes; ++i) {
    const auto sector = bytes.subspan(i * sector_bytes).first<sector_bytes>();
    if (Verdict verdict = check_sector(first + i, sector); verdict.flaw != Flaw::none)
      return verdict;
  }
  return {};
}

Verdict History::check_sector(std::uint64_t sector, ReadSector bytes) const {
  Words words;
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const auto flawed = [&](Flaw flaw, const std::string& what) {
    return Verdict{flaw, "sector " + std::to_string(sector) + " of disc " + std::to_string(disc_) +
                             " " + what};
  };
  const bool zero = std::all_of(words.begin(), words.end(), [](auto word) { return word == 0; });
  if (!zero && (words[0] != magic || words.back() != sum(words)))
    return flawed(Flaw::damaged, "has no right stamp and sum");
  if (!zero && words[2] != disc_)
    return flawed(Flaw::other_disc, "has data of disc " + std::to_string(words[2]));
  if (!zero && words[3] != sector)
    return flawed(Flaw::other_sector, "has data of sector " + std::to_string(words[3]));

  const Sequence there = zero ? 0 : words[1];
  const State& state = sectors_[sector];
  std::vector<Sequence> allowed = possible(state, state.unflushed.size());
  allowed.insert(allowed.end(), state.open.begin(), state.open.end());
  if (contains(allowed, there)) return {};
  const bool asked = there <= last_;
  return flawed(asked ? Flaw::older : Flaw::unasked,
                "has write " + std::to_string(there) + " where only " + list(allowed) +
                    " can be: " +
                    (asked ? "an acknowledged write is lost, or an old one came back"
                           : "nobody has asked for that one"));
}

}  // namespace bench::chaos
