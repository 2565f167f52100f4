// RFC 6298.
#include "tcp/rto.h"

#include <algorithm>

namespace weir::tcp {

RtoEstimator::RtoEstimator(const RtoConfig& config) noexcept
    : config_(&config), rto_(config.rto_initial) {}

void RtoEstimator::on_sample(Micros sample) noexcept {
  //= RFC6298 2.2
  if (!sampled_) {  // §2.2
    srtt_ = sample;
    rttvar_ = sample / 2;
    sampled_ = true;
  } else {  // §2.3, alpha = 1/8, beta = 1/4
            //= RFC6298 2.3
            //= RFC8961 4-2
    const Micros error = srtt_ > sample ? srtt_ - sample : sample - srtt_;
    rttvar_ += (error - rttvar_) / 4;
    srtt_ += (sample - srtt_) / 8;
  }
  compute();
}

void RtoEstimator::compute() noexcept {
  // The floor is the variance's, as Linux has it: a round trip away more than SRTT says is the
  // least that a timer may take for a loss, however steady the path has been (ADR 3).
  const Micros rto = srtt_ + std::max({config_->clock_granularity, config_->rto_min, 4 * rttvar_});
  rto_ = std::min(rto, config_->rto_max);
}

//= RFC6298 5.5
//= RFC8961 4-3
void RtoEstimator::back_off() noexcept {
  rto_ = rto_ > config_->rto_max / 2 ? config_->rto_max : rto_ * 2;
}

void RtoEstimator::restore() noexcept {
  if (sampled_) {
    compute();
  } else {
    rto_ = config_->rto_initial;
  }
}

//= RFC6298 5.7
void RtoEstimator::on_syn_timeout() noexcept {
  rto_ = std::min<Micros>(std::max<Micros>(3s, config_->rto_initial), config_->rto_max);
}

}  // namespace weir::tcp
