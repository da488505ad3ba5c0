// top: the head as it lives, in a terminal. Asks headd every so often and shows what top_screen()
// makes of it; ncurses puts it on the terminal and hears the keys.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/top_screen.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <cstdlib>
#include <optional>
#include <poll.h>
#include <unistd.h>
#include <utility>

// After all others, and without its macros: they are words like move and erase.
#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <curses.h>

namespace headctl {

namespace {

using std::chrono::steady_clock;

// Whatever happens, the terminal is given back as it was.
class Terminal {
 public:
  Terminal() {
    std::setlocale(LC_CTYPE, "");
    screen_ = ::newterm(nullptr, stdout, stdin);
    if (screen_ == nullptr)
      throw Failure(Exit::usage, "this terminal is not known here; is TERM right?");
    ::cbreak();
    ::noecho();
    ::curs_set(0);
    ::keypad(stdscr, TRUE);
    ::set_escdelay(50);
    if (!out_style().colour || !::has_colors()) return;
    ::start_color();
    ::use_default_colors();
    for (const auto& [pair, colour] :
         {std::pair<short, short>{1, COLOR_GREEN}, {2, COLOR_YELLOW}, {3, COLOR_RED}})
      ::init_pair(pair, colour, -1);
    coloured_ = true;
  }
  ~Terminal() {
    ::endwin();
    ::delscreen(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::size_t lines() const { return static_cast<std::size_t>(std::max(LINES, 1)); }
  Style style() const {
    Style style = out_style();
    style.columns = static_cast<unsigned>(std::max(COLS, 1));
    return style;
  }

  void show(const std::vector<Line>& screen) const {
    ::erase();
    for (std::size_t y = 0; y < screen.size(); ++y) {
      ::move(static_cast<int>(y), 0);
      for (const Piece& piece : screen[y]) {
        ::attrset(static_cast<int>(attributes(piece.tone)));
        ::addstr(piece.text.c_str());
      }
    }
    ::attrset(A_NORMAL);
    ::refresh();
  }

  // Waits for a key, at most so long; none when it is over or the size has changed.
  std::optional<int> key(std::chrono::milliseconds most) const {
    ::timeout(static_cast<int>(std::max<long long>(most.count(), 0)));
    switch (const int pressed = ::getch()) {
      case ERR:
        // Nobody will ever press a key where the terminal has gone.
        return gone() ? std::optional<int>('q') : std::nullopt;
      case KEY_RESIZE:
        return std::nullopt;
      case KEY_UP:
        return key::up;
      case KEY_DOWN:
        return key::down;
      case KEY_PPAGE:
        return key::page_up;
      case KEY_NPAGE:
        return key::page_down;
      case KEY_HOME:
        return key::home;
      case KEY_END:
        return key::end;
      case KEY_BACKSPACE:
      case 127:
        return key::backspace;
      case KEY_ENTER:
      case '\r':
        return key::enter;
      default:
        return pressed;
    }
  }

 private:
  static bool gone() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return ::poll(&input, 1, 0) > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  }

  chtype attributes(Tone tone) const {
    switch (tone) {
      case Tone::plain:
        return A_NORMAL;
      case Tone::heading:
        return A_REVERSE;
      case Tone::good:
        return coloured(1, A_NORMAL);
      case Tone::warn:
        return coloured(2, A_BOLD);
      case Tone::bad:
        return coloured(3, A_BOLD);
      case Tone::dim:
        return A_DIM;
    }
    return A_NORMAL;
  }

  chtype coloured(int pair, chtype besides) const {
    return coloured_ ? static_cast<chtype>(COLOR_PAIR(pair)) | besides : besides;
  }

  ::SCREEN* screen_;
  bool coloured_ = false;
};

double seconds_now() {
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

// The last two samples that headd answered; where it does not answer, why.
class Samples {
 public:
  explicit Samples(const Context& context) : client_(context.client()) {
    now_ = take({}, 0);
    before_ = now_;
  }

  void next(const TopChoice& choice, std::size_t shown) {
    try {
      TopSample taken = take(choice, shown);
      before_ = std::exchange(now_, std::move(taken));
    } catch (const Failure& failure) {
      before_ = now_;
      now_.problem = failure.what();
    }
  }

  const TopSample& before() const { return before_; }
  const TopSample& now() const { return now_; }

 private:
  static constexpr std::size_t latencies_max = 100;

  TopSample take(const TopChoice& choice, std::size_t shown) {
    TopSample taken = sample_of(client_.get("/v1/status"), client_.get("/v1/discs"), seconds_now());
    for (const std::string& name : worth_asking(now_, taken, choice, shown, latencies_max)) {
      try {
        taken.latency[name] = buckets_of(client_.get("/v1/latency/" + name + "?histogram=true"));
      } catch (const Refused&) {
        // It was detached meanwhile.
      }
    }
    return taken;
  }

  Client client_;
  TopSample before_, now_;
};

}  // namespace

Exit top(const Context& context, const TopOptions& options) {
  if (context.json) throw Failure(Exit::usage, "top has no --json; status, discs and latency have");
  if (::isatty(STDOUT_FILENO) != 1 || ::isatty(STDIN_FILENO) != 1)
    throw Failure(Exit::usage, "top needs a terminal; status, discs and latency do not");
  const std::chrono::duration<double> interval(options.seconds);
  Samples samples(context);
  const Terminal terminal;
  TopChoice choice;
  auto due = steady_clock::now();
  while (!choice.quit) {
    const std::size_t page = top_page(terminal.lines());
    if (steady_clock::now() >= due) {
      samples.next(choice, page);
      due = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(interval);
    }
    const std::size_t rows = top_rows(samples.before(), samples.now(), choice).size();
    choice.first = std::min(choice.first, rows > page ? rows - page : 0);
    terminal.show(
        top_screen(samples.before(), samples.now(), choice, terminal.lines(), terminal.style()));
    const auto wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(due - steady_clock::now());
    if (const auto pressed = terminal.key(wait + std::chrono::milliseconds(1)))
      press(choice, *pressed, page, rows);
  }
  return Exit::done;
}

}  // namespace headctl
