// An owned file descriptor: closed exactly once. Taking ownership is spelled out: UniqueFd{adopt,
// fd}.
#pragma once

#include <unistd.h>
#include <utility>

namespace iouring {

struct AdoptTag {};
inline constexpr AdoptTag adopt{};

class UniqueFd {
 public:
  UniqueFd() = default;
  UniqueFd(AdoptTag, int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  explicit operator bool() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace iouring
