"""What every executor is made with: operators, protocols, the backward step."""
