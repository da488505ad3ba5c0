#include "head/stats/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <new>

namespace head::stats {

void Histogram::record(Duration latency) noexcept {
  const std::int64_t signed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(latency).count();
  const std::uint64_t ns = signed_ns < 0 ? 0 : static_cast<std::uint64_t>(signed_ns);

  Counts* counts = counts_.load(std::memory_order_relaxed);
  if (counts == nullptr) {
    counts = new (std::nothrow) Counts{};
    if (counts == nullptr) return;
    counts_.store(counts, std::memory_order_release);
  }
  add((*counts)[buckets::index(ns)], 1);
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
  const Counts* counts = counts_.load(std::memory_order_acquire);
  if (counts == nullptr) return;
  sum.buckets.resize(buckets::count);
  for (std::size_t i = 0; i < buckets::count; ++i) {
    const std::uint64_t here = (*counts)[i].load(relaxed);
    sum.buckets[i] += here;
    sum.count += here;
  }
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
