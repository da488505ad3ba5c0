// Families of metrics, one after another, as Prometheus's text has them. Internal to metrics.cpp.
#pragma once

#include "head/stats/histogram.hpp"

#include <cstddef>
#include <cstdint>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace head::control {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// Upper bounds of a scraped histogram are octaves of ours, so its counts are exact: 16 µs to 137 s.
inline constexpr unsigned first_octave = 14;

inline double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

class Families {
 public:
  void gauge(const char* name, const char* help) {
    open(name, help, prometheus::MetricType::Gauge);
  }
  void counter(const char* name, const char* help) {
    open(name, help, prometheus::MetricType::Counter);
  }
  void histogram(const char* name, const char* help) {
    open(name, help, prometheus::MetricType::Histogram);
  }

  // Of the family opened last.
  template <class Number>
  void add(Number value, Labels labels = {}) {
    prometheus::ClientMetric& metric = next(std::move(labels));
    if (families_.back().type == prometheus::MetricType::Gauge)
      metric.gauge.value = static_cast<double>(value);
    else
      metric.counter.value = static_cast<double>(value);
  }

  void add(const stats::HistogramSnapshot& latency, Labels labels) {
    prometheus::ClientMetric::Histogram& histogram = next(std::move(labels)).histogram;
    histogram.sample_count = latency.count;
    histogram.sample_sum = seconds(latency.sum_ns);
    std::uint64_t below = 0;
    std::size_t bucket = 0;
    for (unsigned octave = first_octave; octave <= stats::buckets::highest_octave; ++octave) {
      const std::uint64_t bound = std::uint64_t{1} << octave;
      for (; bucket < latency.buckets.size() && stats::buckets::lower_ns(bucket) < bound; ++bucket)
        below += latency.buckets[bucket];
      histogram.bucket.push_back({.cumulative_count = below, .upper_bound = seconds(bound)});
    }
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  void open(const char* name, const char* help, prometheus::MetricType type) {
    families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
  }
  prometheus::ClientMetric& next(Labels labels) {
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace head::control
