// The export as the NBD clients that people use see it: real rings, real sockets, real programs.
#include "head/export/export.hpp"
#include "head/export/listener.hpp"
#include "iouring/ring.hpp"
#include "tests/memory_volume.hpp"
#include "tests/nbd_real_server.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>
#include <thread>

using namespace head;
using exports::Export;

namespace {

// Answers everything at once, from its loop.
class PromptVolume final : public tests::MemoryVolume {
 public:
  PromptVolume(iouring::Io& io, std::size_t size, std::uint16_t flags)
      : MemoryVolume(size, flags), io_(io) {}

  void submit(nbd::Request& request) noexcept override {
    MemoryVolume::submit(request);
    if (!answer_.pending()) io_.defer(answer_);
  }

 private:
  void on_answer(iouring::Result) noexcept {
    while (!waiting.empty()) answer(waiting.size() - 1);
  }
  iouring::Io& io_;
  iouring::Op<&PromptVolume::on_answer> answer_{*this};
};

// A data thread with one disc.
class Serving final : Export::Owner {
 public:
  explicit Serving(std::size_t size, std::uint16_t flags = tests::MemoryVolume::all_flags) {
    std::promise<std::string> ready;
    auto problem = ready.get_future();
    thread_ = std::thread([this, size, flags, &ready] { run(size, flags, ready); });
    problem_ = problem.get();
  }
  ~Serving() { stop(); }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  // Null where there is a ring to be had.
  const char* problem() const { return problem_.empty() ? nullptr : problem_.c_str(); }
  std::string uri() const {
    return "'nbd+unix:///disk?socket=" + exports::socket_path(folder / "run", "disk").string() +
           "'";
  }
  std::string socket() const { return exports::socket_path(folder / "run", "disk").string(); }

  // Ends the thread, after a clean close; then the volume may be looked at.
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard hold(lock_);  // The ring is there until it has been woken.
      stop_ = true;
      if (ring_ != nullptr) ring_->wake();
    }
    thread_.join();
  }

  tests::Folder folder;
  std::vector<std::byte> data;
  std::vector<std::string> complaints;
  std::size_t requests = 0;
  bool pool_whole = false;

 private:
  void run(std::size_t size, std::uint16_t flags, std::promise<std::string>& ready) {
    std::optional<iouring::Ring> ring;
    try {
      iouring::Ring::Options options;
      options.entries = 256;
      options.receive_buffers = 16;
      ring.emplace(options);
    } catch (const std::system_error& error) {
      return ready.set_value(error.what());
    }
    ring_ = &*ring;
    PromptVolume volume(*ring, size, flags);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < size / 4; i += 8) {  // Its first quarter is not zero.
      const std::uint64_t word = random() | 1;
      std::memcpy(volume.data.data() + i, &word, sizeof word);
    }
    data = volume.data;
    stats::DiscStats stats;
    exports::PayloadPool pool(*ring, 0);
    stats::StallLog log;
    stats::Stalls stalls(std::chrono::seconds(1), log);
    Export served(*ring, "disk", volume, stats, stalls, pool,
                  exports::open_listener(folder / "run", "disk", {}), *this);
    ready.set_value({});
    while (!stopping()) ring->run_once();
    served.close();
    while (!closed_) ring->run_once();
    exports::remove_listener(folder / "run", "disk");
    data = volume.data;
    complaints = volume.complaints;
    requests = volume.answered;
    pool_whole = pool.whole();
  }
  bool stopping() {
    const std::lock_guard hold(lock_);
    return stop_;
  }
  void on_export_closed(Export&) noexcept override {
    closed_ = true;
    ring_->wake();  // Otherwise the round that runs this goes on to wait for a completion.
  }

  std::string problem_;
  std::thread thread_;
  std::mutex lock_;  // Of `stop_`.
  bool stop_ = false;
  iouring::Ring* ring_ = nullptr;
  bool closed_ = false;
};

struct Output {
  int status = -1;
  std::string text;
};

// Bounded: no client here takes a second.
Output run(const std::string& command) {
  Output output;
  FILE* pipe = ::popen(("timeout 60 " + command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> buffer;
  while (const std::size_t size = ::fread(buffer.data(), 1, buffer.size(), pipe))
    output.text.append(buffer.data(), size);
  output.status = ::pclose(pipe);
  return output;
}

void must_run(const std::string& command) {
  const Output output = run(command);
  INFO(command << "\n" << output.text);
  CHECK(output.status == 0);
}

bool skip(const Serving& serving, std::initializer_list<const char*> programs) {
  if (serving.problem() != nullptr) {
    tests::skip(std::string("no io_uring here: ") + serving.problem());
    return true;
  }
  for (const char* program : programs)
    if (!tests::is_installed(program)) {
      tests::skip(std::string(program) + " is not installed");
      return true;
    }
  return false;
}

std::vector<std::byte> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const auto bytes = std::as_bytes(std::span(all));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("nbdinfo sees what the disc can", "[export][peers]") {
  Serving serving(4 << 20);
  if (skip(serving, {"nbdinfo"})) return;
  const Output info = run("nbdinfo " + serving.uri());
  INFO(info.text);
  CHECK(info.status == 0);
  for (const char* line :
       {"export-size: 4194304", "can_multi_conn: true", "can_fua: true", "can_df: true",
        "can_cache: true", "can_fast_zero: true", "is_read_only: false", "base:allocation",
        "block_size_maximum: 33554432", "structured packets"})
    CHECK(info.text.find(line) != std::string::npos);
  const Output list = run("nbdinfo --list --json " + serving.uri());
  INFO(list.text);
  CHECK(list.text.find("\"disk\"") != std::string::npos);
  const Output map = run("nbdinfo --map --totals " + serving.uri());
  INFO(map.text);
  CHECK(map.text.find("1048576  25.0%") != std::string::npos);
  serving.stop();
  CHECK(serving.complaints.empty());
  CHECK(serving.pool_whole);
}

TEST_CASE("nbdcopy copies a disc out and back in over many connections", "[export][peers]") {
  Serving serving(24 << 20);
  if (skip(serving, {"nbdcopy"})) return;
  const std::string out = serving.folder / "out.img";
  must_run("nbdcopy --connections=4 " + serving.uri() + " " + out);
  CHECK(contents(out) == serving.data);

  std::vector<std::byte> fresh(24 << 20, std::byte{0x5a});
  std::fill(fresh.begin() + (8 << 20), fresh.begin() + (16 << 20), std::byte{0});
  std::ofstream(serving.folder / "in.img", std::ios::binary)
      .write(reinterpret_cast<const char*>(fresh.data()),
             static_cast<std::streamsize>(fresh.size()));
  must_run("nbdcopy --flush --request-size=8388608 " + (serving.folder / "in.img") + " " +
           serving.uri());
  serving.stop();
  CHECK(serving.data == fresh);
  CHECK(serving.complaints.empty());
  CHECK(serving.pool_whole);
}

TEST_CASE("qemu-img and qemu-io work on the disc", "[export][peers]") {
  Serving serving(8 << 20);
  if (skip(serving, {"qemu-img", "qemu-io"})) return;
  const std::string out = serving.folder / "out.img";
  must_run("qemu-img info " + serving.uri());
  must_run("qemu-img map " + serving.uri());
  must_run("qemu-img convert -f raw -O raw " + serving.uri() + " " + out);
  must_run("qemu-img compare -f raw -F raw " + out + " " + serving.uri());
  CHECK(contents(out) == serving.data);
  must_run("qemu-io -f raw " + serving.uri() +
           " -c 'write -P 0x11 1M 1M' -c 'write -f -P 0x22 3000 100' -c 'read -P 0x22 3000 100'"
           " -c 'write -z 1M 64k' -c 'read -P 0 1M 64k' -c 'read -P 0x11 1114112 900k'"
           " -c 'discard 2M 1M' -c flush");
  serving.stop();
  CHECK(serving.data[1 << 20] == std::byte{0});
  CHECK(serving.data[2 * (1 << 20) - 1] == std::byte{0x11});
  CHECK(serving.complaints.empty());
  CHECK(serving.pool_whole);
}

TEST_CASE("A read-only disc cannot be written by anybody", "[export][peers]") {
  Serving serving(1 << 20, tests::MemoryVolume::all_flags | nbd::transmission_flag::read_only);
  if (skip(serving, {"qemu-io", "nbdinfo"})) return;
  must_run("nbdinfo --is readonly " + serving.uri());
  CHECK(
      run("qemu-io -f raw " + serving.uri() + " -c 'write 0 4k'").text.find("Permission denied") !=
      std::string::npos);
  must_run("qemu-io -r -f raw " + serving.uri() + " -c 'read 0 4k'");
  const auto before = serving.data;
  serving.stop();
  CHECK(serving.data == before);
  CHECK(serving.complaints.empty());
}
