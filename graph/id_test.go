package graph

import "testing"

// Q16: personal drives are spelled in several ways, others in one.
func TestSameDrive(t *testing.T) {
	for _, c := range []struct {
		a, b DriveID
		want bool
	}{
		{"0A1B2C3D4E5F6071", "a1b2c3d4e5f6071", true}, {"0A1B2C3D4E5F6071", "0a1b2c3d4e5f6071", true}, {"00000000000000ab", "AB", true},
		{"0A1B2C3D4E5F6071", "0A1B2C3D4E5F6072", false}, {"b!aBc", "b!abc", false}, {"b!aBc", "b!aBc", true}, {"", "0", false}, {"", "", true},
		{"00A1B2C3D4E5F60710", "A1B2C3D4E5F60710", false}, {"xyz", "XYZ", false},
	} {
		if got := SameDrive(c.a, c.b); got != c.want || SameDrive(c.b, c.a) != got {
			t.Errorf("SameDrive(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
