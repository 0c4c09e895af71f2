package terrain

// Lighting is the light of the place.
type Lighting struct {
	ClockTime  float64 `json:"clock_time"` // hours
	Brightness float64 `json:"brightness"`
	FogEnd     float64 `json:"fog_end"` // studs
	Ambient    Color   `json:"ambient"`
}

// Color has parts from 0 to 255.
type Color struct {
	R float64 `json:"r"`
	G float64 `json:"g"`
	B float64 `json:"b"`
}
