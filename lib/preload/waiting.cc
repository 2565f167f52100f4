#include "preload/waiting.h"

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <unordered_map>

namespace weir::preload {
namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

std::uint64_t inode_of(int fd) {
  struct stat st {};
  return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? static_cast<std::uint64_t>(st.st_ino) : 0;
}

// Never destroyed: other threads may call while the program ends.
std::unordered_map<std::uint64_t, Waiting>& table() {
  static auto* const t = new std::unordered_map<std::uint64_t, Waiting>();
  return *t;
}

}  // namespace

WaitingRoom& waiting_room() {
  static auto* const room = new WaitingRoom();
  return *room;
}

void WaitingRoom::lock() {
  pthread_mutex_lock(&mutex);
}
void WaitingRoom::unlock() {
  pthread_mutex_unlock(&mutex);
}
void WaitingRoom::after_fork() {
  for (auto& [inode, w] : table()) w.inherited = true;
}

void WaitingRoom::add(int fd, int domain) {
  const std::uint64_t inode = inode_of(fd);
  if (inode == 0) return;
  if (const auto old = table().find(inode); old != table().end()) remove(old->second);
  Waiting w;
  w.inode = inode;
  w.fd = fd;
  w.domain = domain;
  table().emplace(inode, std::move(w));
  count_.fetch_add(1, std::memory_order_relaxed);
}

Waiting* WaitingRoom::find(int fd) {
  if (!any()) return nullptr;
  const auto found = table().find(inode_of(fd));
  if (found == table().end()) return nullptr;
  found->second.fd = fd;
  return &found->second;
}

void WaitingRoom::remove(const Waiting& w) {
  if (w.listening) listening_.fetch_sub(1, std::memory_order_relaxed);
  count_.fetch_sub(1, std::memory_order_relaxed);
  table().erase(w.inode);
}

std::vector<std::uint64_t> WaitingRoom::sweep() {
  std::vector<const Waiting*> closed;
  std::vector<std::uint64_t> ids;
  for (const auto& [inode, w] : table()) {
    if (inode_of(w.fd) != inode) closed.push_back(&w);
  }
  for (const Waiting* w : closed) {
    if (w->id != 0 && !w->inherited) ids.push_back(w->id);
    remove(*w);
  }
  crowd_ = std::max(kCrowd, 2 * count_.load(std::memory_order_relaxed));
  return ids;
}

void WaitingRoom::listens(Waiting& w, int backlog) {
  w.backlog = backlog;
  if (w.listening) return;
  w.listening = true;
  listening_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace weir::preload
