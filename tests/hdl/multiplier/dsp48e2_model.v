// The DSP48E2 as UG579 describes it, without what multiply-accumulate does not use: pattern detector, SIMD, wide XOR,
// carry inputs, resets, inverted pins, RND. Written for the proof that an instance does what its twin does.
module DSP48E2 #(
    parameter AREG = 1, parameter ACASCREG = 1, parameter BREG = 1, parameter BCASCREG = 1, parameter CREG = 1,
    parameter DREG = 1, parameter ADREG = 1, parameter MREG = 1, parameter PREG = 1, parameter OPMODEREG = 1,
    parameter ALUMODEREG = 1, parameter INMODEREG = 1, parameter CARRYINREG = 1, parameter CARRYINSELREG = 1,
    parameter AMULTSEL = "A", parameter BMULTSEL = "B", parameter PREADDINSEL = "A", parameter A_INPUT = "DIRECT",
    parameter B_INPUT = "DIRECT", parameter USE_MULT = "MULTIPLY", parameter USE_SIMD = "ONE48",
    parameter USE_PATTERN_DETECT = "NO_PATDET", parameter USE_WIDEXOR = "FALSE"
) (
    input CLK,
    input signed [29:0] A, input signed [17:0] B, input [47:0] C, input signed [26:0] D, input CARRYIN,
    input signed [29:0] ACIN, input signed [17:0] BCIN, input [47:0] PCIN, input CARRYCASCIN, input MULTSIGNIN,
    input [4:0] INMODE, input [8:0] OPMODE, input [3:0] ALUMODE, input [2:0] CARRYINSEL,
    input CEA1, input CEA2, input CEB1, input CEB2, input CEC, input CED, input CEAD, input CEM, input CEP,
    input CECTRL, input CEALUMODE, input CEINMODE, input CECARRYIN,
    input RSTA, input RSTB, input RSTC, input RSTD, input RSTM, input RSTP, input RSTCTRL, input RSTALUMODE,
    input RSTINMODE, input RSTALLCARRYIN,
    output [47:0] P, output [47:0] PCOUT
);
    reg signed [29:0] a1_r, a2_r;
    reg signed [17:0] b1_r, b2_r;
    reg signed [26:0] d_r, ad_r;
    reg [47:0] c_r, p_r;
    reg signed [44:0] m_r;
    reg [8:0] opmode_r;
    reg [4:0] inmode_r;
    reg [3:0] alumode_r;

    wire signed [29:0] a_in = A_INPUT == "DIRECT" ? A : ACIN;
    wire signed [17:0] b_in = B_INPUT == "DIRECT" ? B : BCIN;
    wire signed [29:0] a2 = AREG == 0 ? a_in : a2_r;
    wire signed [17:0] b2 = BREG == 0 ? b_in : b2_r;
    wire signed [26:0] d = DREG == 0 ? D : d_r;
    wire [47:0] c = CREG == 0 ? C : c_r;
    wire [8:0] opmode = OPMODEREG == 0 ? OPMODE : opmode_r;
    wire [4:0] inmode = INMODEREG == 0 ? INMODE : inmode_r;
    wire [3:0] alumode = ALUMODEREG == 0 ? ALUMODE : alumode_r;

    // Pre-adder: D +- A, each of which INMODE can turn off; A1 or A2, B1 or B2.
    wire signed [29:0] a_chosen = inmode[0] ? a1_r : a2;
    wire signed [26:0] a_gated = inmode[1] ? 27'sd0 : a_chosen[26:0];
    wire signed [26:0] d_gated = inmode[2] ? d : 27'sd0;
    wire signed [26:0] ad_sum = inmode[3] ? d_gated - a_gated : d_gated + a_gated;
    wire signed [26:0] ad = ADREG == 0 ? ad_sum : ad_r;
    wire signed [26:0] mult_a = AMULTSEL == "AD" ? ad : a_gated;
    wire signed [17:0] mult_b = inmode[4] ? b1_r : b2;
    wire signed [44:0] product = mult_a * mult_b;
    wire signed [44:0] m = MREG == 0 ? product : m_r;

    // Multiplexers of the ALU. The multiplier's two partial products come through X and Y together: M is in X here.
    reg [47:0] w, x, y, z;
    always @* begin
        case (opmode[8:7])
            2'b00: w = 48'd0;
            2'b01: w = p_r;
            2'b11: w = c;
            default: w = 48'bx;
        endcase
        case (opmode[1:0])
            2'b00: x = 48'd0;
            2'b01: x = opmode[3:2] == 2'b01 ? {{3{m[44]}}, m} : 48'bx;
            2'b10: x = p_r;
            2'b11: x = {a2, b2};
        endcase
        case (opmode[3:2])
            2'b00: y = 48'd0;
            2'b01: y = opmode[1:0] == 2'b01 ? 48'd0 : 48'bx;
            2'b10: y = 48'hFFFFFFFFFFFF;
            2'b11: y = c;
        endcase
        case (opmode[6:4])
            3'b000: z = 48'd0;
            3'b001: z = PCIN;
            3'b010: z = p_r;
            3'b011: z = c;
            3'b101: z = {{17{PCIN[47]}}, PCIN[47:17]};
            3'b110: z = {{17{p_r[47]}}, p_r[47:17]};
            default: z = 48'bx;
        endcase
    end
    wire [47:0] sum = alumode == 4'b0000 ? z + (w + x + y) : alumode == 4'b0011 ? z - (w + x + y) : 48'bx;

    always @(posedge CLK) begin
        if (CEA1) a1_r <= a_in;
        if (CEA2) a2_r <= AREG == 2 ? a1_r : a_in;
        if (CEB1) b1_r <= b_in;
        if (CEB2) b2_r <= BREG == 2 ? b1_r : b_in;
        if (CED) d_r <= D;
        if (CEC) c_r <= C;
        if (CEAD) ad_r <= ad_sum;
        if (CEM) m_r <= product;
        if (CEP) p_r <= sum;
        if (CECTRL) opmode_r <= OPMODE;
        if (CEINMODE) inmode_r <= INMODE;
        if (CEALUMODE) alumode_r <= ALUMODE;
    end
    assign P = PREG == 0 ? sum : p_r;
    assign PCOUT = P;
endmodule
