#include "head/stats/histogram.hpp"

#include "head/stats/memory.hpp"

#include <algorithm>
#include <cmath>
#include <new>

namespace head::stats {

Histogram::~Histogram() {
  for (auto& place : octaves_) {
    const Octave* const octave = place.load(std::memory_order_relaxed);
    if (octave == nullptr) continue;
    delete octave;
    memory::give_back(memory::For::octave, sizeof(Octave));
  }
}

void Histogram::record(Duration latency) noexcept {
  const std::int64_t signed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(latency).count();
  const std::uint64_t ns = signed_ns < 0 ? 0 : static_cast<std::uint64_t>(signed_ns);

  const std::size_t bucket = buckets::index(ns);
  std::atomic<Octave*>& place = octaves_[bucket / buckets::per_octave];
  Octave* octave = place.load(std::memory_order_relaxed);
  if (octave == nullptr) {
    if (!memory::take(memory::For::octave, sizeof(Octave))) return;
    octave = new (std::nothrow) Octave{};
    if (octave == nullptr) return memory::give_back(memory::For::octave, sizeof(Octave));
    place.store(octave, std::memory_order_release);
  }
  add((*octave)[bucket % buckets::per_octave], 1);
  add(sum_ns_, ns);
  if (ns > max_ns_.load(std::memory_order_relaxed)) max_ns_.store(ns, std::memory_order_relaxed);
}

HistogramSnapshot Histogram::snapshot() const {
  HistogramSnapshot snapshot;
  add_to(snapshot);
  return snapshot;
}

void Histogram::add_to(HistogramSnapshot& sum) const {
  constexpr auto relaxed = std::memory_order_relaxed;
  for (std::size_t i = 0; i < buckets::octaves; ++i) {
    const Octave* octave = octaves_[i].load(std::memory_order_acquire);
    if (octave == nullptr) continue;
    sum.buckets.resize(buckets::count);
    for (std::size_t j = 0; j < buckets::per_octave; ++j) {
      const std::uint64_t here = (*octave)[j].load(relaxed);
      sum.buckets[i * buckets::per_octave + j] += here;
      sum.count += here;
    }
  }
  add_times_to(sum);
}

void Histogram::add_times_to(HistogramSnapshot& sum) const noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  sum.sum_ns += sum_ns_.load(relaxed);
  sum.max_ns = std::max(sum.max_ns, max_ns_.load(relaxed));
}

std::uint64_t HistogramSnapshot::quantile_ns(double q) const noexcept {
  if (count == 0) return 0;
  const double rank = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count));
  const std::uint64_t wanted =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rank), 1, count);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    seen += buckets[i];
    if (seen < wanted) continue;
    const std::uint64_t middle = (buckets::lower_ns(i) + buckets::lower_ns(i + 1)) / 2;
    return std::min(middle, max_ns);
  }
  return max_ns;
}

HistogramSnapshot& HistogramSnapshot::operator+=(const HistogramSnapshot& other) {
  count += other.count;
  sum_ns += other.sum_ns;
  max_ns = std::max(max_ns, other.max_ns);
  if (buckets.empty())
    buckets = other.buckets;
  else
    for (std::size_t i = 0; i < other.buckets.size(); ++i) buckets[i] += other.buckets[i];
  return *this;
}

}  // namespace head::stats
