#include "head/stats/histogram.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

using namespace head::stats;
using std::chrono::nanoseconds;

namespace {

// Values spread evenly over the octaves from 1 µs to 100 s.
std::uint64_t any_latency(std::mt19937_64& random) {
  std::uniform_real_distribution<double> exponent(std::log(1e3), std::log(1e11));
  return static_cast<std::uint64_t>(std::exp(exponent(random)));
}

double relative_error(std::uint64_t said, std::uint64_t truth) {
  return std::abs(static_cast<double>(said) - static_cast<double>(truth)) /
         static_cast<double>(truth);
}

}  // namespace

TEST_CASE("buckets follow each other without gaps", "[stats]") {
  for (std::size_t i = 0; i < buckets::count; ++i) {
    CAPTURE(i);
    REQUIRE(buckets::index(buckets::lower_ns(i)) == i);
    REQUIRE(buckets::index(buckets::lower_ns(i + 1) - 1) == i);
  }
  CHECK(buckets::lower_ns(0) <= 1'000);
  CHECK(buckets::lower_ns(buckets::count) >= 100'000'000'000);
}

TEST_CASE("values outside the range land in the outermost buckets", "[stats]") {
  CHECK(buckets::index(0) == 0);
  CHECK(buckets::index(~std::uint64_t{0}) == buckets::count - 1);

  Histogram histogram;
  histogram.record(nanoseconds(-5));
  CHECK(histogram.snapshot().count == 1);
  CHECK(histogram.snapshot().sum_ns == 0);
}

TEST_CASE("a single value is told within 3 percent", "[stats]") {
  const auto seed = GENERATE(range(0u, 200u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::uint64_t truth = any_latency(random);
  const std::uint64_t larger = truth * 4;  // So that the maximum does not correct the quantile.
  Histogram histogram;
  histogram.record(nanoseconds(truth));
  histogram.record(nanoseconds(larger));
  CAPTURE(truth);
  CHECK(relative_error(histogram.snapshot().quantile_ns(0.5), truth) <= 0.03);
}

TEST_CASE("every quantile is within 3 percent of the sorted values", "[stats]") {
  const auto seed = GENERATE(range(0u, 50u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> values(1 + random() % 5'000);
  for (auto& value : values) value = any_latency(random);
  Histogram histogram;
  for (const auto value : values) histogram.record(nanoseconds(value));
  std::sort(values.begin(), values.end());

  const HistogramSnapshot snapshot = histogram.snapshot();
  REQUIRE(snapshot.count == values.size());
  CHECK(snapshot.max_ns == values.back());
  for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
    const std::uint64_t truth = values[std::max<std::size_t>(rank, 1) - 1];
    CAPTURE(q, truth);
    CHECK(relative_error(snapshot.quantile_ns(q), truth) <= 0.03);
  }
}

TEST_CASE("an empty histogram says zero and holds no buckets", "[stats]") {
  const HistogramSnapshot snapshot = Histogram().snapshot();
  CHECK(snapshot.count == 0);
  CHECK(snapshot.quantile_ns(0.99) == 0);
  CHECK(snapshot.mean_ns() == 0);
  CHECK(snapshot.buckets.empty());
}

TEST_CASE("adding snapshots equals recording into one", "[stats]") {
  std::mt19937_64 random(7);
  Histogram one, two, both;
  for (int i = 0; i < 1'000; ++i) {
    const nanoseconds value(any_latency(random));
    (i % 3 == 0 ? one : two).record(value);
    both.record(value);
  }
  HistogramSnapshot sum;
  sum += one.snapshot();
  sum += two.snapshot();
  sum += HistogramSnapshot{};
  CHECK(sum.count == both.snapshot().count);
  CHECK(sum.sum_ns == both.snapshot().sum_ns);
  CHECK(sum.max_ns == both.snapshot().max_ns);
  CHECK(sum.buckets == both.snapshot().buckets);
}

TEST_CASE("a reader beside the writer never sees more than was written", "[stats]") {
  constexpr std::uint64_t records = 200'000;
  Histogram histogram;
  std::jthread writer([&] {
    for (std::uint64_t i = 0; i < records; ++i) histogram.record(nanoseconds(1'000 + i));
  });
  std::uint64_t before = 0;
  bool monotonic = true;
  for (std::uint64_t count = 0; count < records; before = count) {
    count = histogram.snapshot().count;
    monotonic = monotonic && count >= before && count <= records;
  }
  CHECK(monotonic);
}
